#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus/corpus_files.h"
#include "data/corpus/dataset_writer.h"

namespace folio {

// A stretch of a file that is encoded on its own.
struct Stretch {
  std::string path, name;  // name: for messages
  int64_t begin, end;      // bytes
  Split split;
};

// One text in two: train is int(n * (1 - val_fraction)) of its n characters, as in nanoGPT; of JSON
// lines, those that end in as many of its bytes, or the first. A stretch may be empty.
std::vector<Stretch> split_text(const CorpusFile& text, const std::string& name,
                                double val_fraction);

// Draws files at random, the same ones every time, until they have val_fraction of the bytes; those
// that would take more than twice of it, or leave train less than half of its own share, stay
// in train. Where whole files cannot give val at least half of its share, each file is split as a
// text is.
std::vector<Stretch> split_files(const std::vector<CorpusFile>& files, double val_fraction);

}  // namespace folio

#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus/left_out.h"

namespace folio {

struct CorpusFile {
  std::string path;
  int64_t bytes;
};

// The texts below `folder`, in the order of their paths: each read once, on `threads` threads, to
// see that it is UTF-8 without NUL bytes (of JSON lines, each line is looked at when its turn
// comes). Hidden and empty files and the dataset in `output` are passed over without a word. What
// else is no text goes to `left_out`: binary files, pipes, links to folders (never followed, so no
// circle) or to nothing, and a file that is there twice under two names, whose text would be in
// both splits. A file that cannot be read is an Error.
std::vector<CorpusFile> texts_below(const std::string& folder, const std::string& output,
                                    int threads, LeftOut& left_out);

}  // namespace folio

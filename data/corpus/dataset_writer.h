#pragma once
#include <list>
#include <span>
#include <string>
#include <string_view>

#include "data/dataset/meta.h"
#include "data/files/replacement_file.h"
#include "data/files/sha256.h"

namespace folio {

enum class Split { train, val };

// A dataset that takes the place of the one in its folder, whole or not at all; a process killed in
// the moment between the first file's taking its name and the last's leaves one that open_dataset
// refuses.
class DatasetWriter {
 public:
  // Makes `directory` if it is missing. Throws Error.
  DatasetWriter(const std::string& directory, int64_t vocab_size);

  // Ids below vocab_size.
  void add(Split split, std::span<const int32_t> ids);
  // Another file of the dataset, which goes with it.
  void add_file(const std::string& name, std::string_view contents);
  int64_t tokens(Split split) const { return file(split).tokens; }
  // Completes the files with `meta`, whose counts and digests it fills in, and puts them under
  // their names. Interrupted, if a stop was requested, before the first has its name.
  void commit(Meta meta);

 private:
  struct TokenStream {
    explicit TokenStream(const std::string& target) : path(target), file(target) {}
    std::string path, buffer;
    ReplacementFile file;
    int64_t tokens = 0, synced = 0;  // bytes that are on their way to the disk
    Sha256 hash = {};
  };
  const TokenStream& file(Split split) const { return split == Split::train ? train_ : val_; }
  void flush(TokenStream& file);

  std::string directory_;
  int64_t vocab_size_;
  TokenStream train_, val_;
  std::list<ReplacementFile> others_;
};

}  // namespace folio

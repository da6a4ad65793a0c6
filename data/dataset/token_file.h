#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/files/mapped_file.h"

namespace folio {

inline constexpr int64_t most_token_ids = 65536;  // a token file holds ids of 16 bits

// A split's token ids in nanoGPT's format: 16-bit little-endian numbers and nothing else.
// Memory-mapped, so that the file may be larger than memory.
class TokenFile {
 public:
  // Ids must be below `vocab_size`; they are checked as they are read. Error if the file cannot be
  // opened or its size is odd.
  TokenFile(std::string path, int64_t vocab_size);

  const std::string& path() const { return path_; }
  int64_t size() const { return int64_t(file_.bytes().size() / 2); }
  std::string_view bytes() const { return file_.bytes(); }
  int64_t vocab_size() const { return vocab_size_; }

  // Token i. Error if there is none or its id is not in the vocabulary.
  int32_t operator[](int64_t i) const;
  // Error, with the first such token, if there is an id that is not in the vocabulary: among all of
  // up to 256 MiB, among samples (data/files/fingerprint.h) of more.
  void check_ids() const;
  // The same for tokens [begin, end).
  void check_ids(int64_t begin, int64_t end) const;
  // Tokens [begin, begin + ids.size()) into `ids`, with the same errors.
  void read(int64_t begin, std::span<int32_t> ids) const;

 private:
  std::string path_;
  int64_t vocab_size_;
  MappedFile file_;
};

}  // namespace folio

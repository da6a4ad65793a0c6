#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/files/mapped_file.h"

namespace folio {

// The bytes that an id takes in a token file: 2, as in nanoGPT's, or 4 where the vocabulary has
// more than 65,536 ids.
constexpr int64_t token_bytes(int64_t vocab_size) { return vocab_size <= 65536 ? 2 : 4; }
// Ids from 0 to vocab_size - 1 as a token file has them, behind what is in `bytes`.
void append_tokens(std::string& bytes, std::span<const int32_t> ids, int64_t vocab_size);

// A split's token ids in nanoGPT's format, little-endian numbers and nothing else. Memory-mapped,
// so that the file may be larger than memory.
class TokenFile {
 public:
  // Ids must be below `vocab_size`; they are checked as they are read. Error if the file cannot be
  // opened or ends within an id.
  TokenFile(std::string path, int64_t vocab_size);

  const std::string& path() const { return path_; }
  int64_t size() const { return int64_t(file_.bytes().size()) / width_; }
  std::string_view bytes() const { return file_.bytes(); }
  // Of tokens [begin, end), which must be there.
  std::string_view bytes(int64_t begin, int64_t end) const {
    return file_.bytes().substr(size_t(width_ * begin), size_t(width_ * (end - begin)));
  }
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
  int64_t vocab_size_, width_;
  MappedFile file_;
};

}  // namespace folio

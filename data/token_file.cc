#include "data/token_file.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace folio {

TokenFile::TokenFile(std::string path, int64_t vocab_size)
    : path_(std::move(path)), vocab_size_(vocab_size), file_(path_) {
  check(file_.bytes().size() % 2 == 0,
        "{}: {} bytes is not a whole number of 16-bit tokens; the file is damaged, prepare the "
        "dataset again",
        path_, file_.bytes().size());
}

int32_t TokenFile::operator[](int64_t i) const {
  int32_t id;
  read(i, {&id, 1});
  return id;
}

void TokenFile::read(int64_t begin, std::span<int32_t> ids) const {
  auto count = int64_t(ids.size());
  check(0 <= begin && begin <= size() && count <= size() - begin,
        "{}: {} tokens from token {} on were asked for, but it has {}", path_, count, begin,
        size());
  auto* bytes = reinterpret_cast<const unsigned char*>(file_.bytes().data()) + 2 * begin;
  int32_t largest = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = bytes[2 * i] | bytes[2 * i + 1] << 8;
    largest = std::max(largest, ids[i]);
  }
  if (largest < vocab_size_) return;
  for (size_t i = 0; i < ids.size(); ++i)
    check(ids[i] < vocab_size_,
          "{}: token {} has id {}, but the vocabulary's ids are 0 to {}; was the file made with "
          "another vocabulary? Prepare the dataset again",
          path_, begin + int64_t(i), ids[i], vocab_size_ - 1);
}

}  // namespace folio

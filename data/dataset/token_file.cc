#include "data/dataset/token_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "core/check.h"
#include "data/files/fingerprint.h"

namespace folio {
namespace {

// Of ids in 16 bits, little-endian; 0 of none. The form is one that compilers vectorise.
int32_t largest_id(const char* bytes, size_t count) {
  uint16_t largest = 0;
  for (size_t i = 0; i < count; ++i) {
    uint16_t id;
    std::memcpy(&id, bytes + 2 * i, 2);
    largest = std::max(largest, id);
  }
  return largest;
}

}  // namespace

TokenFile::TokenFile(std::string path, int64_t vocab_size)
    : path_(std::move(path)), vocab_size_(vocab_size), file_(path_) {
  check(file_.bytes().size() % 2 == 0,
        "{}: {} bytes is not a whole number of 16-bit tokens; the file is damaged, prepare the "
        "dataset again",
        path_, file_.bytes().size());
}

void TokenFile::check_ids() const {
  constexpr int64_t most_read_whole = 256 << 20;
  if (int64_t(bytes().size()) <= most_read_whole) return check_ids(0, size());
  each_sample(int64_t(bytes().size()),
              [&](int64_t begin, int64_t end) { check_ids(begin / 2, end / 2); });
}

void TokenFile::check_ids(int64_t begin, int64_t end) const {
  constexpr int64_t block = 1 << 15;
  static_assert(std::endian::native == std::endian::little);
  std::vector<int32_t> ids;
  for (; begin < end; begin += block) {
    int64_t count = std::min(block, end - begin);
    if (largest_id(bytes().data() + 2 * begin, size_t(count)) < vocab_size_) continue;
    ids.resize(size_t(count));
    read(begin, ids);  // throws, with the place
  }
  file_.check_whole();
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
  file_.check_whole();
  if (largest < vocab_size_) return;
  for (size_t i = 0; i < ids.size(); ++i)
    check(ids[i] < vocab_size_,
          "{}: token {} has id {}, but the vocabulary's ids are 0 to {}; was the file made with "
          "another vocabulary? Prepare the dataset again",
          path_, begin + int64_t(i), ids[i], vocab_size_ - 1);
}

}  // namespace folio

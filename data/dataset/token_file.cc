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

static_assert(std::endian::native == std::endian::little);

template <class Id>
uint32_t id_at(const char* bytes, size_t i) {
  Id id;
  std::memcpy(&id, bytes + sizeof id * i, sizeof id);
  return id;
}

// 0 of none. The form is one that compilers vectorise.
template <class Id>
uint32_t largest_id(std::string_view bytes) {
  Id largest = 0;
  for (size_t i = 0; i < bytes.size() / sizeof largest; ++i)
    largest = std::max(largest, Id(id_at<Id>(bytes.data(), i)));
  return largest;
}

uint32_t largest_id(std::string_view bytes, int64_t width) {
  return width == 2 ? largest_id<uint16_t>(bytes) : largest_id<uint32_t>(bytes);
}

template <class Id>
void copy_ids(std::string_view bytes, std::span<int32_t> ids) {
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = int32_t(id_at<Id>(bytes.data(), i));
}

}  // namespace

void append_tokens(std::string& bytes, std::span<const int32_t> ids, int64_t vocab_size) {
  const auto width = size_t(token_bytes(vocab_size));
  size_t at = bytes.size();
  bytes.resize(at + width * ids.size());
  for (int32_t id : ids) {
    std::memcpy(&bytes[at], &id, width);
    at += width;
  }
}

TokenFile::TokenFile(std::string path, int64_t vocab_size)
    : path_(std::move(path)),
      vocab_size_(vocab_size),
      width_(token_bytes(vocab_size)),
      file_(path_) {
  check(int64_t(bytes().size()) % width_ == 0,
        "{}: {} bytes is not a whole number of {}-bit tokens, as a vocabulary of {} has them; the "
        "file is damaged, prepare the dataset again",
        path_, bytes().size(), 8 * width_, vocab_size_);
}

void TokenFile::check_ids() const {
  constexpr int64_t most_read_whole = 256 << 20;
  if (int64_t(bytes().size()) <= most_read_whole) return check_ids(0, size());
  each_sample(int64_t(bytes().size()), [&](int64_t begin, int64_t end) {
    check_ids((begin + width_ - 1) / width_, end / width_);
  });
}

void TokenFile::check_ids(int64_t begin, int64_t end) const {
  constexpr int64_t block = 1 << 15;
  std::vector<int32_t> ids;
  for (; begin < end; begin += block) {
    int64_t count = std::min(block, end - begin);
    if (largest_id(bytes(begin, begin + count), width_) < vocab_size_) continue;
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
  const std::string_view tokens = bytes(begin, begin + count);
  if (width_ == 2)
    copy_ids<uint16_t>(tokens, ids);
  else
    copy_ids<uint32_t>(tokens, ids);
  file_.check_whole();
  uint32_t largest = 0;
  for (int32_t id : ids) largest = std::max(largest, uint32_t(id));
  if (largest < vocab_size_) return;
  for (size_t i = 0; i < ids.size(); ++i)
    check(uint32_t(ids[i]) < vocab_size_,
          "{}: token {} has id {}, but the vocabulary's ids are 0 to {}; was the file made with "
          "another vocabulary? Prepare the dataset again",
          path_, begin + int64_t(i), uint32_t(ids[i]), vocab_size_ - 1);
}

}  // namespace folio

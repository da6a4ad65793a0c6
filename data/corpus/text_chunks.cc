#include "data/corpus/text_chunks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/check.h"
#include "data/progress_line.h"
#include "data/tokenizer/pretokenizer.h"

namespace folio {
namespace {

constexpr int64_t block_bytes = 1 << 20;

FileDescriptor open_text(const std::string& path) {
  FileDescriptor file = open_file(path, O_RDONLY | O_NONBLOCK);
  struct stat status;
  if (retry_on_signal([&] { return fstat(file.get(), &status); }) != 0) fail_errno(path, "stat");
  check(S_ISREG(status.st_mode),
        "{}: needs a regular file or a folder; a pipe is read with --input=- < PIPE", path);
  return file;
}

// Of UTF-8: the bytes that continue no character.
int64_t character_starts(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (c & '\xc0') != '\x80'; });
}

}  // namespace

TextChunks::TextChunks(std::string path, int64_t begin, int64_t end, size_t size)
    : path_(std::move(path)),
      file_(open_text(path_)),
      offset_(begin),
      left_(end - begin),
      size_(size) {}

void TextChunks::fill(size_t bytes) {
  while (text_.size() < bytes && left_ > 0) {
    size_t had = text_.size(), wanted = std::min(bytes - had, size_t(left_));
    text_.resize(had + wanted);
    size_t got = read_at(file_.get(), text_.data() + had, wanted, uint64_t(offset_) + had, path_);
    text_.resize(had + got);
    left_ -= int64_t(got);
    check(got > 0, "{}: became shorter while it was read; start again", path_);
  }
}

std::optional<TextChunk> TextChunks::next() {
  size_t cut = 0;
  for (size_t bytes = size_; cut == 0; bytes *= 2) {
    fill(bytes);
    if (text_.empty()) return {};
    cut = left_ > 0 ? last_safe_cut(text_) : text_.size();
  }
  TextChunk chunk{text_.substr(0, cut), offset_};
  text_.erase(0, cut);
  offset_ += int64_t(cut);
  return chunk;
}

CharacterCount::CharacterCount(const std::string& path) : path_(path) {
  FileDescriptor file = open_text(path);
  struct stat status;
  if (retry_on_signal([&] { return fstat(file.get(), &status); }) != 0) fail_errno(path, "stat");
  ProgressLine line("counting characters", status.st_size);
  std::string block(size_t(block_bytes), '\0');
  while (bytes_ < status.st_size) {
    size_t n = read_at(file.get(), block.data(), block.size(), uint64_t(bytes_), path);
    check(n > 0, "{}: became shorter while it was read; start again", path);
    // Blocks are whole, whatever a read gives.
    for (size_t at = 0; at < n;) {
      int64_t inside = bytes_ % block_bytes;
      if (inside == 0) before_.push_back(characters_);
      size_t part = std::min(n - at, size_t(block_bytes - inside));
      characters_ += character_starts(std::string_view(block).substr(at, part));
      at += part;
      bytes_ += int64_t(part);
    }
    line.update(bytes_);
  }
}

int64_t CharacterCount::offset(int64_t n) const {
  if (n >= characters_) return bytes_;
  auto after = std::ranges::upper_bound(before_, n);
  int64_t block = after - before_.begin() - 1, passed = before_[size_t(block)];
  FileDescriptor file = open_text(path_);
  std::string text(size_t(block_bytes), '\0');
  for (size_t have = 0, at = 0; have < text.size(); at = have) {
    have += read_at(file.get(), text.data() + have, text.size() - have,
                    uint64_t(block * block_bytes) + have, path_);
    check(have > at, "{}: became shorter while it was read; start again", path_);
    for (; at < have; ++at)
      if ((text[at] & '\xc0') != '\x80' && passed++ == n) return block * block_bytes + int64_t(at);
  }
  fail("{}: changed while it was read; start again", path_);
}

}  // namespace folio

#include "data/corpus/text_chunks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "data/text/utf8.h"

namespace folio {
namespace {

constexpr int64_t block_bytes = 1 << 20;
constexpr size_t most_at_once = 16 << 20;  // between two looks at whether to stop

FileDescriptor open_text(const std::string& path) {
  FileDescriptor file = open_file(path, O_RDONLY | O_NONBLOCK);
  struct stat status;
  if (retry_on_signal([&] { return fstat(file.get(), &status); }) != 0) fail_errno(path, "stat");
  check(S_ISREG(status.st_mode),
        "{}: needs a regular file or a folder; a pipe is read with --input=- < PIPE", path);
  return file;
}

bool is_continuation(char c) { return (c & '\xc0') == '\x80'; }

// Of UTF-8: the bytes that continue no character.
int64_t character_starts(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return !is_continuation(c); });
}

}  // namespace

size_t last_line_end(std::string_view text) { return text.rfind('\n') + 1; }

size_t last_character_start(std::string_view text) {
  // No character has more than 4 bytes: one that began before is whole, or no UTF-8.
  for (size_t back = 1; back <= std::min<size_t>(text.size(), 4); ++back) {
    size_t at = text.size() - back;
    if (is_continuation(text[at])) continue;
    return decode_utf8(text, at).fault ? at : text.size();
  }
  return text.size();
}

TextChunks::TextChunks(std::string path, int64_t begin, int64_t end, size_t size, Cut cut)
    : path_(std::move(path)),
      file_(open_text(path_)),
      offset_(begin),
      left_(end - begin),
      size_(size),
      cut_(std::move(cut)) {}

void TextChunks::fill(size_t bytes) {
  while (text_.size() < bytes && left_ > 0) {
    throw_if_stopped();
    size_t had = text_.size(), wanted = std::min({bytes - had, size_t(left_), most_at_once});
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
    cut = left_ > 0 ? cut_(text_) : text_.size();
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
    throw_if_stopped();
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
      if (!is_continuation(text[at]) && passed++ == n) return block * block_bytes + int64_t(at);
  }
  fail("{}: changed while it was read; start again", path_);
}

}  // namespace folio

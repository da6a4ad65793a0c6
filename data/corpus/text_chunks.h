#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/files/files.h"
#include "data/tokenizer/pretokenizers/gpt2.h"

namespace folio {

struct TextChunk {
  std::string text;
  int64_t offset;  // in the file
};

// The last place of a text to cut it at; 0 where there is none.
using Cut = std::function<size_t(std::string_view text)>;
size_t last_line_end(std::string_view text);         // after it
size_t last_character_start(std::string_view text);  // of UTF-8; the end, if no character is open

// Bytes [begin, end) of a file, about `size` at a time, cut by `cut`; the default cuts UTF-8 where
// no pretoken is (see last_safe_cut): the chunks' ids are those of the whole. Holds no more than
// twice the longest stretch without such a place.
class TextChunks {
 public:
  // Opens `path`; throws Error.
  TextChunks(std::string path, int64_t begin, int64_t end, size_t size = 1 << 20,
             Cut cut = last_safe_cut);

  // Nothing at the end. Error if the file ends before `end`; Interrupted (core/process/stop.h).
  std::optional<TextChunk> next();

 private:
  void fill(size_t bytes);  // until `text_` has as many, or all that is left

  std::string path_, text_;
  FileDescriptor file_;
  int64_t offset_, left_;  // of text_ in the file; bytes that are still to be read
  size_t size_;
  Cut cut_;
};

// How many characters a UTF-8 file has, and where one of them starts.
class CharacterCount {
 public:
  explicit CharacterCount(const std::string& path);  // throws Error, Interrupted
  int64_t bytes() const { return bytes_; }
  int64_t characters() const { return characters_; }
  // The offset of character `n`; of the file's end for n = characters().
  int64_t offset(int64_t n) const;

 private:
  std::string path_;
  int64_t bytes_ = 0, characters_ = 0;
  std::vector<int64_t> before_;  // characters that start before each block
};

}  // namespace folio

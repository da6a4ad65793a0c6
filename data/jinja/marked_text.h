#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// A text that knows of each of its bytes whether the template wrote it or whoever gave the values:
// only what the template wrote may be a special token.
class MarkedText {
 public:
  MarkedText() = default;
  static MarkedText written(std::string_view text) { return {text, '\1'}; }
  static MarkedText given(std::string_view text) { return {text, '\0'}; }

  const std::string& text() const { return text_; }
  bool is_written(size_t byte) const { return marks_[byte] != '\0'; }
  size_t size() const { return text_.size(); }

  MarkedText& operator+=(const MarkedText& other);
  MarkedText bytes(size_t begin, size_t end) const;

  // As Python's methods of str, which count code points and know Unicode's white space.
  MarkedText strip(std::string_view characters, bool left, bool right) const;  // of these
  MarkedText strip(bool left, bool right) const;                               // white space
  std::vector<MarkedText> split(std::string_view separator, int64_t most = -1) const;
  std::vector<MarkedText> split_from_right(std::string_view separator, int64_t most) const;
  MarkedText replace(std::string_view from, const MarkedText& to, int64_t most = -1) const;
  std::vector<MarkedText> characters() const;
  // Its letters from A to Z as small ones, or the other way round.
  MarkedText lower() const;
  MarkedText upper() const;

 private:
  MarkedText(std::string_view text, char mark) : text_(text), marks_(text.size(), mark) {}

  std::string text_;
  std::string marks_;  // of each byte: 1 if the template wrote it
};

// Whether str.isspace() says so.
bool is_python_space(char32_t c);
// Offset of the first byte that is not white space, and of what follows the last.
size_t skip_space(std::string_view text, size_t from);
size_t space_begins(std::string_view text);

}  // namespace folio

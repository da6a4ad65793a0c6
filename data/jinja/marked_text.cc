#include "data/jinja/marked_text.h"

#include <algorithm>

#include "data/text/utf8.h"

namespace folio {
namespace {

// The start of the character that ends at text[end].
size_t character_before(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at + size_t(decode_utf8(text, at).bytes) == end ? at : end - 1;
}

size_t first_not_of(std::string_view text, auto&& unwanted) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8 next = decode_utf8(text, at);
    if (next.fault || !unwanted(next.code_point)) break;
    at += size_t(next.bytes);
  }
  return at;
}

size_t end_without(std::string_view text, auto&& unwanted) {
  size_t end = text.size();
  while (end > 0) {
    const size_t at = character_before(text, end);
    const Utf8 last = decode_utf8(text, at);
    if (last.fault || !unwanted(last.code_point)) break;
    end = at;
  }
  return end;
}

}  // namespace

bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

size_t skip_space(std::string_view text, size_t from) {
  return from + first_not_of(text.substr(from), is_python_space);
}

size_t space_begins(std::string_view text) { return end_without(text, is_python_space); }

MarkedText& MarkedText::operator+=(const MarkedText& other) {
  text_ += other.text_;
  marks_ += other.marks_;
  return *this;
}

MarkedText MarkedText::bytes(size_t begin, size_t end) const {
  MarkedText part;
  if (begin >= end) return part;
  part.text_ = text_.substr(begin, end - begin);
  part.marks_ = marks_.substr(begin, end - begin);
  return part;
}

MarkedText MarkedText::strip(std::string_view characters, bool left, bool right) const {
  std::u32string unwanted;
  for (size_t at = 0; at < characters.size();) {
    const Utf8 next = decode_utf8(characters, at);
    if (!next.fault) unwanted += next.code_point;
    at += size_t(next.bytes);
  }
  const auto is_unwanted = [&](char32_t c) { return unwanted.find(c) != unwanted.npos; };
  const size_t begin = left ? first_not_of(text_, is_unwanted) : 0;
  return bytes(begin, right ? end_without(text_, is_unwanted) : size());
}

MarkedText MarkedText::strip(bool left, bool right) const {
  return bytes(left ? skip_space(text_, 0) : 0, right ? space_begins(text_) : size());
}

std::vector<MarkedText> MarkedText::split(std::string_view separator, int64_t most) const {
  std::vector<MarkedText> parts;
  size_t from = 0, at;
  while (most-- != 0 && (at = text_.find(separator, from)) != text_.npos) {
    parts.push_back(bytes(from, at));
    from = at + separator.size();
  }
  parts.push_back(bytes(from, size()));
  return parts;
}

std::vector<MarkedText> MarkedText::split_from_right(std::string_view separator,
                                                     int64_t most) const {
  std::vector<MarkedText> parts;
  size_t end = size(), at;
  while (most-- != 0 && end >= separator.size() &&
         (at = text_.rfind(separator, end - separator.size())) != text_.npos) {
    parts.push_back(bytes(at + separator.size(), end));
    end = at;
  }
  parts.push_back(bytes(0, end));
  std::ranges::reverse(parts);
  return parts;
}

MarkedText MarkedText::replace(std::string_view from, const MarkedText& to, int64_t most) const {
  MarkedText all;
  const std::vector<MarkedText> parts = split(from, most);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) all += to;
    all += parts[i];
  }
  return all;
}

std::vector<MarkedText> MarkedText::characters() const {
  std::vector<MarkedText> all;
  for (size_t at = 0; at < size();) {
    const auto length = size_t(decode_utf8(text_, at).bytes);
    all.push_back(bytes(at, at + length));
    at += length;
  }
  return all;
}

MarkedText MarkedText::lower() const {
  MarkedText other = *this;
  for (char& c : other.text_)
    if ('A' <= c && c <= 'Z') c = char(c - 'A' + 'a');
  return other;
}

MarkedText MarkedText::upper() const {
  MarkedText other = *this;
  for (char& c : other.text_)
    if ('a' <= c && c <= 'z') c = char(c - 'a' + 'A');
  return other;
}

}  // namespace folio

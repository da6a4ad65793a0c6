#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/check.h"
#include "data/tokenizer/byte_alphabet.h"

// What messages say of a tokenizer's file, put into words only if there is a message: a file has
// tens of thousands of entries.
namespace folio {

struct FilePlace {
  FilePlace(std::string_view name, size_t number = 0) : file(name), line(number) {}
  FilePlace(const char* name) : file(name) {}
  FilePlace(const std::string& name) : file(name) {}

  std::string_view file;
  size_t line = 0;  // from 1; 0: not known
};

struct Excerpt {  // its first 40 bytes
  std::string_view text;
};

struct SpelledExcerpt {  // in the byte alphabet
  std::string_view bytes;
};

}  // namespace folio

template <>
struct fmt::formatter<folio::FilePlace> : fmt::formatter<std::string_view> {
  auto format(const folio::FilePlace& place, fmt::format_context& out) const {
    return place.line > 0 ? fmt::format_to(out.out(), "{}:{}", place.file, place.line)
                          : fmt::format_to(out.out(), "{}", place.file);
  }
};

template <>
struct fmt::formatter<folio::Excerpt> : fmt::formatter<std::string_view> {
  auto format(folio::Excerpt excerpt, fmt::format_context& out) const {
    bool whole = excerpt.text.size() <= 40;
    return fmt::format_to(out.out(), "{}{}", excerpt.text.substr(0, 40), whole ? "" : "...");
  }
};

template <>
struct fmt::formatter<folio::SpelledExcerpt> : fmt::formatter<std::string_view> {
  auto format(folio::SpelledExcerpt excerpt, fmt::format_context& out) const {
    std::string spelling = folio::spell_bytes(excerpt.bytes);
    return fmt::format_to(out.out(), "{}", folio::Excerpt{spelling});
  }
};

#include "data/text/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::u32string decode_all(std::string_view text) {
  std::u32string result;
  for_each_code_point(text, "it", [&](char32_t c, size_t) { result += c; });
  return result;
}

std::string encode_all(const std::u32string& characters) {
  std::string text;
  for (char32_t c : characters) append_utf8(text, c);
  return text;
}

TEST(Utf8, KnownBytes) {
  EXPECT_EQ(decode_all("a\u00e9\u20ac\U0001F600"), U"a\u00e9\u20ac\U0001F600");
  EXPECT_EQ(encode_all(U"a\u00e9\u20ac\U0001F600"), "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

TEST(Utf8, EveryCodePointRoundTrips) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (0xd800 <= c && c <= 0xdfff) continue;
    std::string text;
    append_utf8(text, c);
    Utf8 back = decode_utf8(text, 0);
    ASSERT_EQ(back.fault, nullptr) << uint32_t(c);
    ASSERT_EQ(back.code_point, c);
    ASSERT_EQ(size_t(back.bytes), text.size());
  }
}

TEST(Utf8, RandomTextRoundTrips) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::u32string characters;
    for (int i = 0; i < 100; ++i) {
      char32_t c = random() % (random() % 2 ? 0x110000 : 0x100);
      if (c < 0xd800 || c > 0xdfff) characters += c;
    }
    EXPECT_EQ(decode_all(encode_all(characters)), characters);
  }
}

struct Invalid {
  std::string bytes;
  size_t offset;
  const char* why;
};

TEST(Utf8, RejectsWhatTheStandardRejects) {
  const Invalid cases[] = {
      {"ab\x80", 2, "continues no character"},
      {"\xbf", 0, "continues no character"},
      {"\xc0\x80", 0, "overlong"},
      {"\xc1\xbf", 0, "overlong"},
      {"\xe0\x80\x80", 0, "overlong"},
      {"x\xe0\x9f\xbf", 1, "overlong"},
      {"\xf0\x80\x80\x80", 0, "overlong"},
      {"\xf0\x8f\xbf\xbf", 0, "overlong"},
      {"\xed\xa0\x80", 0, "surrogate"},
      {"\xed\xbf\xbf", 0, "surrogate"},
      {"\xf4\x90\x80\x80", 0, "above U+10FFFF"},
      {"\xf5\x80\x80\x80", 0, "above U+10FFFF"},
      {"\xff", 0, "above U+10FFFF"},
      {"\xfe", 0, "above U+10FFFF"},
      {"\xc3", 0, "cut short"},
      {"\xc3(", 0, "cut short"},
      {"\xe2\x82", 0, "cut short"},
      {"\xe2(\x82", 0, "cut short"},
      {"\xf0\x9f\x98", 0, "cut short"},
      {"\u20ac\xf0\x9f\x98x", 3, "cut short"},
  };
  for (const Invalid& c : cases) {
    std::string message = error_of([&] { decode_all(c.bytes); });
    EXPECT_THAT(message, HasSubstr(fmt::format("at offset {} ", c.offset))) << message;
    EXPECT_THAT(message, HasSubstr(c.why)) << message;
  }
}

TEST(Utf8, DescribesCharacters) {
  EXPECT_EQ(describe(U'\u00e9'), "'\u00e9' (U+00E9)");
  EXPECT_EQ(describe('\n'), "'\\n' (U+000A)");
  EXPECT_EQ(describe(7), "U+0007");
  EXPECT_EQ(describe(0x9b), "U+009B");
}

}  // namespace
}  // namespace folio

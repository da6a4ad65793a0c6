#include "data/text/utf8_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "data/text/utf8.h"

namespace folio {
namespace {

const std::string fffd = "\xef\xbf\xbd";

std::string whole(const std::string& bytes) {
  Utf8Stream stream;
  std::string text = stream.push(bytes);
  return text + stream.finish();
}

TEST(Utf8Stream, ACharacterWaitsForItsLastByte) {
  for (std::string character : {"a", "é", "€", "😀"}) {
    Utf8Stream stream;
    for (size_t i = 0; i + 1 < character.size(); ++i)
      EXPECT_EQ(stream.push(character.substr(i, 1)), "") << character;
    EXPECT_EQ(stream.push(character.substr(character.size() - 1)), character);
    EXPECT_EQ(stream.finish(), "");
  }
}

// What Python 3.11 gives for bytes.decode("utf-8", "replace").
TEST(Utf8Stream, BytesThatAreNoTextAreReplacedAsInPython) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"a\xff"
       "b",
       "a" + fffd + "b"},
      {"\x80", fffd},
      {"\xe2\x82"
       "A",
       fffd + "A"},
      {"\xe2\x82", fffd},
      {"\xf0\x9f\x98", fffd},
      {"\xf0\x9f\x98\xf0\x9f\x98\x80", fffd + "\xf0\x9f\x98\x80"},
      {"\xc0\xaf", fffd + fffd},
      {"\xe0\x80\xaf", fffd + fffd + fffd},
      {"\xed\xa0\x80", fffd + fffd + fffd},
      {"\xf4\x90\x80\x80", fffd + fffd + fffd + fffd},
      {"\xf5\x80", fffd + fffd},
      {"\xc3\xc3\xa9", fffd + "\xc3\xa9"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(whole(bytes), text);
}

TEST(Utf8Stream, TheTextDoesNotDependOnTheCuts) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (int i = 0; i < 40; ++i) {
      if (random() % 2)
        bytes += char(random());
      else
        append_utf8(bytes, char32_t(random() % 0xd800));
    }
    Utf8Stream stream;
    std::string text;
    for (size_t at = 0; at < bytes.size();) {
      size_t n = 1 + random() % 4;
      std::string piece = stream.push(bytes.substr(at, n));
      for_each_code_point(piece, "a piece", [](char32_t, size_t) {});
      text += piece;
      at += n;
    }
    EXPECT_EQ(text + stream.finish(), whole(bytes));
  }
}

}  // namespace
}  // namespace folio

#include "data/files/fingerprint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace folio {
namespace {

constexpr int64_t most_whole = 16 << 20, block = 4096;

std::string text(int64_t size) {
  std::string text(size_t(size), '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = char(i * i >> 7);
  return text;
}

// The digests are Python's hashlib's, of the bytes that the header names.
TEST(Fingerprint, IsWhatItsHeaderSays) {
  EXPECT_EQ(hex(fingerprint("abc")),
            "ce91dc5eec0139adf091900d225971d6ad246a845bad791b5693a9d0d55dd391");
  EXPECT_EQ(hex(fingerprint(text(most_whole + 6))),
            "012cbb4b0d4c57878b0e387aaa1d99d9594c711695e0fd77a6f91ade55618592");
}

TEST(Fingerprint, OfUpTo16MiBSeesEveryByteAndTheSize) {
  for (int64_t size : {int64_t(1), int64_t(70000), most_whole}) {
    std::string bytes = text(size);
    Digest whole = fingerprint(bytes);
    for (int64_t at : {int64_t(0), size / 3, size - 1}) {
      bytes[size_t(at)] ^= 1;
      EXPECT_NE(fingerprint(bytes), whole) << size << " " << at;
      bytes[size_t(at)] ^= 1;
    }
    EXPECT_NE(fingerprint(std::string_view(bytes).substr(1)), whole);
  }
  EXPECT_NE(fingerprint(std::string(4, '\0')), fingerprint(std::string(6, '\0')));
}

TEST(Fingerprint, OfMoreReadsTheSameFewBlocksOfWholeTokens) {
  for (int64_t size : {most_whole + 2, most_whole + 4094, int64_t(1) << 40}) {
    std::vector<std::pair<int64_t, int64_t>> parts;
    each_sample(size, [&](int64_t begin, int64_t end) { parts.emplace_back(begin, end); });
    ASSERT_EQ(parts.size(), 66u);
    EXPECT_EQ(parts.front().first, 0);
    EXPECT_EQ(parts.back().second, size);
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].second - parts[i].first, block);
      EXPECT_EQ(parts[i].first % 2, 0);
      if (i == 0) continue;
      EXPECT_GE(parts[i].first, parts[i - 1].second);
      EXPECT_LE(parts[i].first - parts[i - 1].first, size / 64);
    }
  }
}

}  // namespace
}  // namespace folio

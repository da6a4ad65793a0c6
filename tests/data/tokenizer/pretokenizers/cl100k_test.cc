#include "data/tokenizer/pretokenizers/cl100k.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/data/tokenizer/pretokenizers/pcre2_pattern.h"

namespace folio {
namespace {

class Cl100k : public testing::TestWithParam<int> {
 protected:
  Cl100k() : pattern_(std::u32string(before) + numbers() + after) {}
  void expect_same_cuts(const std::u32string& text) {
    pattern_.expect_same_cuts(
        text, [&](std::string_view bytes, size_t at) { return cl100k_end(bytes, at, GetParam()); });
  }

 private:
  static constexpr const char32_t* before = UR"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\nLN]?[L]+|[N])";
  static constexpr const char32_t* after = UR"(| ?[^SLN]+[\r\n]*|[S]*[\r\n]+|[S]+(?![^S])|[S]+)";
  static std::u32string numbers() { return GetParam() == 3 ? U"{1,3}" : U""; }
  Pcre2Pattern pattern_;
};

TEST_P(Cl100k, CutsAsPcre2MatchesThePattern) {
  // A character or two of each kind that the pattern or the code treats on its own.
  const std::u32string kinds =
      U"sdmTlVReaZ'09 \t\r\n\u00a0\u3000.-\u00e9\u017f\u4f60\u0663\u20ac\U0001F600";
  for (char32_t a : kinds)
    for (char32_t b : kinds)
      for (char32_t c : kinds) expect_same_cuts({a, b, c, U'a', a, c});
}

TEST_P(Cl100k, CutsRandomTextAsPcre2) {
  std::mt19937 random(6);
  const std::u32string common =
      U"   '''sdtmlverSDTMLVRxyz0192,.-\n\n\r\r\t\u00a0\u017f\u00e9\u4f60\u0663\u0301\U0001F600";
  for (int trial = 0; trial < 20000; ++trial) {
    std::u32string text;
    for (size_t n = 1 + random() % 40; n > 0; --n) {
      char32_t c = common[random() % common.size()];
      if (random() % 8 == 0) c = random() % 0x110000;
      if (random() % 8 == 0) c = random() % 0x3100;
      text += (c >> 11) == 0x1b ? U'x' : c;
    }
    expect_same_cuts(text);
  }
}

INSTANTIATE_TEST_SUITE_P(, Cl100k, testing::Values(1, 3), [](const auto& info) {
  return info.param == 3 ? "OfThreeDigits" : "OfSingleDigits";
});

}  // namespace
}  // namespace folio

#include "data/tokenizer/pretokenizers/cl100k.h"

#include <gtest/gtest.h>

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
  for_each_triple(U"sdmTlVReaZ'09 \t\r\n\u00a0\u3000.-\u00e9\u017f\u4f60\u0663\u20ac\U0001F600",
                  [&](const std::u32string& text) { expect_same_cuts(text); });
}

TEST_P(Cl100k, CutsRandomTextAsPcre2) {
  for_each_random_text(
      6, U"   '''sdtmlverSDTMLVRxyz0192,.-\n\n\r\r\t\u00a0\u017f\u00e9\u4f60\u0663\u0301\U0001F600",
      [&](const std::u32string& text) { expect_same_cuts(text); });
}

INSTANTIATE_TEST_SUITE_P(, Cl100k, testing::Values(1, 3), [](const auto& info) {
  return info.param == 3 ? "OfThreeDigits" : "OfSingleDigits";
});

}  // namespace
}  // namespace folio

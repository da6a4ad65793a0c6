#include "core/text/numbers.h"

#include <gtest/gtest.h>

#include <limits>

namespace folio {
namespace {

TEST(Numbers, HaveACommaBeforeEveryThirdDigit) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(-100), "-100");
  EXPECT_EQ(with_commas(-1000), "-1,000");
  EXPECT_EQ(with_commas(1003854), "1,003,854");
  EXPECT_EQ(with_commas(std::numeric_limits<int64_t>::max()), "9,223,372,036,854,775,807");
  EXPECT_EQ(with_commas(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
}

TEST(Numbers, MegabytesAreOfAMillionBytes) {
  EXPECT_EQ(in_megabytes(1971.3e6), "1971.3 MB");
  EXPECT_EQ(in_megabytes(51000), "0.1 MB");
}

}  // namespace
}  // namespace folio

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/device.h"

namespace folio {
namespace {

// One element, at any place, of an array that several threads share.
template <class T>
void expect_found(T bad) {
  constexpr size_t size = 200'003;
  for (size_t at : {size_t(0), size_t(65'535), size_t(65'536), size - 1}) {
    std::vector<T> values(size, T(std::numeric_limits<float>::max()));
    values[1] = T(std::numeric_limits<float>::denorm_min());
    values[2] = T(-0.0f);
    EXPECT_TRUE(test_backend()->reductions.all_finite(to_array(values, {int64_t(size)})));
    values[at] = bad;
    EXPECT_FALSE(test_backend()->reductions.all_finite(to_array(values, {int64_t(size)}))) << at;
  }
}

TEST(AllFinite, FindsNanAndInfinityAnywhere) {
  for (float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    expect_found<float>(bad);
    expect_found<double>(bad);
  }
  constexpr int64_t size = 70'001;
  std::vector<bfloat16> values(size, bfloat16(3e38f));
  EXPECT_TRUE(test_backend()->reductions.all_finite(to_array(values, {size})));
  values.back() = bfloat16(INFINITY);
  EXPECT_FALSE(test_backend()->reductions.all_finite(to_array(values, {size})));
  EXPECT_TRUE(
      test_backend()->reductions.all_finite(to_array(std::vector<int32_t>{0x7f800000, -1}, {2})));
  EXPECT_TRUE(test_backend()->reductions.all_finite(to_array(std::vector<float>{}, {0, 3})));
}

}  // namespace
}  // namespace folio

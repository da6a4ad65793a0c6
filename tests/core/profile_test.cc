#include "core/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

using testing::ElementsAre;

std::vector<std::string> names(const Profile& profile) {
  std::vector<std::string> names;
  for (const OperationTime& op : profile.operations) names.push_back(op.name);
  std::ranges::sort(names);
  return names;
}

Array sum_of(const Array& a, const Array& b) {
  return backend(a)->broadcast.binary(binary<Add>(), a, b);
}

TEST(Profile, NamesWhoAskedAndCountsWhatWasMoved) {
  const Array a = full({3, 4}, 1, DType::f32, test_device()), b = a;
  const Profile found = profile(test_device(), [&] {
    sum_of(a, b);
    sum_of(a, b);
    auto gradient = [&] { return backend(a)->elementwise.cast(a, DType::bf16); };
    gradient();
  });
  ASSERT_THAT(names(found), ElementsAre(testing::EndsWith("TestBody, gradient"), "sum_of"));
  const OperationTime& sums = *std::ranges::find(found.operations, "sum_of", &OperationTime::name);
  EXPECT_EQ(sums.calls, 2);
  EXPECT_EQ(sums.bytes, 2 * (48 + 48));  // a, which is b, and the result
  EXPECT_EQ(sums.flops, 0);
  EXPECT_GE(sums.seconds, 0);
  EXPECT_GE(found.seconds, sums.seconds);
}

TEST(Profile, CountsTheMultiplyAddsOfProducts) {
  const Array x = full({2, 3, 4}, 1, DType::f32, test_device()),
              w = full({5, 4}, 1, DType::f32, test_device());
  const Profile found = profile(test_device(), [&] { backend(x)->products.linear(x, w, {}); });
  ASSERT_EQ(found.operations.size(), 1U);
  EXPECT_EQ(found.operations[0].flops, 2 * (2 * 3) * 4 * 5);
}

// Two rows of a table of a hundred.
TEST(Profile, OfATableOnlyTheRowsCount) {
  const Array table = full({100, 8}, 1, DType::f32, test_device());
  const Array rows = to_array(std::vector<int32_t>{3, 50}, {2}, test_device());
  const Profile found =
      profile(test_device(), [&] { backend(table)->layout.take_rows(table, rows); });
  ASSERT_EQ(found.operations.size(), 1U);
  EXPECT_EQ(found.operations[0].bytes, 2 * (2 * 8 * 4));
}

TEST(Profile, EndsWithTheWork) {
  const Array a = full({2}, 1, DType::f32, test_device());
  EXPECT_THROW(profile(test_device(), [&] { fail("no"); }), Error);
  EXPECT_EQ(Profiler::active(), nullptr);
  EXPECT_THAT(profile(test_device(), [] {}).operations, testing::IsEmpty());
}

TEST(Profile, ShortNames) {
  for (auto [function, name] : std::initializer_list<std::pair<const char*, const char*>>{
           {"folio::Tensor folio::layer_norm(const folio::Tensor&, double)", "layer_norm"},
           {"folio::layer_norm(const Tensor&)::<lambda(const folio::Array&)>",
            "layer_norm, gradient"},
           {"auto folio::layer_norm(const Tensor &)::(anonymous class)::operator()(Array) const",
            "layer_norm, gradient"},
           {"void folio::AdamW::step(double)", "AdamW::step"},
           {"folio::Array folio::{anonymous}::sum_of(const folio::Array&)", "sum_of"},
           {"Array folio::(anonymous namespace)::sum_of(const Array &)", "sum_of"}})
    EXPECT_EQ(short_name(function), name);
}

}  // namespace
}  // namespace folio

#include "nn/residual.h"

#include <gtest/gtest.h>

#include "tests/device.h"

namespace folio {
namespace {

Tensor row(std::vector<double> values) {
  return Tensor::leaf(to_array(values, {1, int64_t(values.size())}));
}

std::vector<double> values_of(const Tensor& x) { return to_vector<double>(x.array()); }

TEST(Residual, IsTheSumOfWhatWasAdded) {
  Residual x = row({1, 2});
  x.add(row({10, 20}), {});
  x.add(row({100, 200}), {});
  EXPECT_EQ(values_of(x.value()), (std::vector<double>{111, 222}));
  EXPECT_EQ(values_of(x.value()), (std::vector<double>{111, 222})) << "added once";
}

TEST(Residual, DropsOfWhatIsAddedAlone) {
  const Dropout dropout = Dropout::with(0.5, {3, 1});
  const std::vector<double> ones(64, 1);
  Residual x = row(ones);
  x.add(row(ones), dropout);
  const auto values = values_of(x.value());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], dropout.keeps(i) ? 3 : 1) << i;
}

// A norm sees what was added before it, and so does whatever reads x afterwards.
TEST(Residual, ANormReadsTheSumAndLeavesIt) {
  const Tensor w = row({2, 3}).array().reshape({2}), b = row({5, 7}).array().reshape({2});
  Residual x = row({1, 3});
  EXPECT_EQ(values_of(x.norm(w, b, {}, DType::f64)),
            values_of(layer_norm(row({1, 3}), w, b, DType::f64)));
  x.add(row({-10, 10}), {});
  EXPECT_EQ(values_of(x.norm(w, b, {}, DType::f64)),
            values_of(layer_norm(row({-9, 13}), w, b, DType::f64)));
  EXPECT_EQ(values_of(x.value()), (std::vector<double>{-9, 13}));
  EXPECT_EQ(values_of(x.norm(w, b, {}, DType::f64)),
            values_of(layer_norm(row({-9, 13}), w, b, DType::f64)));
}

}  // namespace
}  // namespace folio

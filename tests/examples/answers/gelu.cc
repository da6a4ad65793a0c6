// The tour's first exercise: GELU as an op of one's own, and its gradient held to differences, the
// right one and one with a mistake.
//
//   build/tests/examples/gelu
#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/ops.h"

using namespace folio;

using Function = double (*)(double);

double normal_share(double x) { return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)); }
double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

double gelu(double x) { return x * normal_share(x); }
// The product rule: one times the second factor, and the first times the slope of the second.
double slope(double x) { return normal_share(x) + x * normal_density(x); }
double mistaken_slope(double x) { return normal_share(x); }

Array map(const Array& x, Function f) {
  auto values = to_vector<double>(x);
  std::ranges::transform(values, values.begin(), f);
  return to_array(values, x.shape(), x.device());
}

// gelu(x), whose gradient is dy times `slope` of each element.
Tensor gelu(const Tensor& x, Function slope) {
  return record(map(x.array(), gelu), {x}, [x = Saved(x), slope](Array dy) {
    return std::vector<Array>{(Tensor(dy) * Tensor(map(x(), slope))).array()};
  });
}

// The gradient of sum(gelu(x)) beside (gelu(x + h) - gelu(x - h)) / 2h.
void compare(const char* name, Function slope) {
  const std::vector<double> at{-3, -1, -0.2, 0, 0.5, 2};
  Tensor x = Tensor::leaf(to_array(at, {int64_t(at.size())}, cpu));
  sum(gelu(x, slope), 0).backward();
  const auto gradient = to_vector<double>(x.grad());
  const double h = 1e-5;
  fmt::print("{}\n    x   gradient  by differences\n", name);
  for (size_t i = 0; i < at.size(); ++i) {
    const double difference = (gelu(at[i] + h) - gelu(at[i] - h)) / (2 * h);
    const bool wrong = std::abs(gradient[i] - difference) > 1e-7;
    fmt::print("{:5.1f} {:10.6f}      {:10.6f}{}\n", at[i], gradient[i], difference,
               wrong ? "  WRONG" : "");
  }
}

int main() {
  compare("the product rule", slope);
  compare("its second half forgotten", mistaken_slope);
}

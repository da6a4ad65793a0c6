// Dropout keeps no mask: whether element i is kept is a function of a seed, the number of the
// stream and i, so that backward asks again and gets the same answer.
//
//   build/tests/examples/dropout
#include "autograd/ops.h"

using namespace folio;

int main() {
  constexpr int64_t n = 12;
  Generator generator{.seed = 1337};
  const Dropout dropout = Dropout::with(0.5, generator.next());

  Tensor x = Tensor::leaf(to_array(std::vector<float>(n, 1), {n}, cpu));
  Tensor y = add_dropout({}, x, dropout);
  sum(y, 0).backward();

  const auto forward = to_vector<float>(y.array()), backward = to_vector<float>(x.grad());
  fmt::print(" i  keeps  forward  backward\n");
  for (uint64_t i = 0; i < n; ++i)
    fmt::print("{:2}  {:5}  {:7.4f}  {:8.4f}\n", i, dropout.keeps(i), forward[i], backward[i]);
}

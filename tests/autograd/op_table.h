#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops.h"

namespace folio {

// Every differentiable op has a row, from which its tests follow: gradients against differences,
// narrow dtypes against f64, the messages for inputs that it cannot take.
struct OpRow {
  std::string name;  // as in autograd/ops.h, with ':' and a variant for all rows of an op but one
  std::vector<Shape> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> op;
  bool positive = false;  // the inputs must be
  double h = 1e-5;        // step of the differences
  double tolerance = 1e-7;
};

std::vector<OpRow> op_table();

}  // namespace folio

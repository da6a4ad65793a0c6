#include <algorithm>

#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {

Tensor reshape(const Tensor& x, const Shape& shape) {
  check_values("reshape", "x", x);
  check(shape.size() == x.shape().size(), "reshape: x {} has {} elements, {} has {}", x.shape(),
        x.shape().size(), shape, shape.size());
  return record(x.array().reshape(shape), {x},
                [before = x.shape()](Array dy) { return std::vector<Array>{dy.reshape(before)}; });
}

Tensor transpose(const Tensor& x, int i, int j) {
  check_values("transpose", "x", x);
  i = check_axis("transpose", x, i);
  j = check_axis("transpose", x, j);
  auto exchanged = [i, j, dtype = x.dtype()](const Array& from) {
    return backend(from)->layout.transpose(from, i, j, dtype);
  };
  return record(exchanged(x.array()), {x},
                [exchanged](Array dy) { return std::vector<Array>{exchanged(dy)}; });
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  check_values("slice", "x", x);
  axis = check_axis("slice", x, axis);
  check(0 <= begin && begin <= end && end <= x.dim(axis),
        "slice: [{}, {}) of dimension {} of x {}, which has {}", begin, end, axis, x.shape(),
        x.dim(axis));
  Shape shape = x.shape();
  shape[axis] = end - begin;
  Array y(shape, x.dtype(), x.array().device());
  backend(y)->layout.copy_block(x.array(), begin, y, 0, end - begin, axis);
  auto backward = [whole = x.shape(), axis, begin, n = end - begin](Array dy) {
    Array dx = zeros(whole, dy.dtype(), dy.device());
    backend(dy)->layout.copy_block(dy, 0, dx, begin, n, axis);
    return std::vector<Array>{dx};
  };
  return record(y, {x}, with_dy_in(x.dtype(), backward));
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "concat: needs at least one part");
  for (const Tensor& part : parts) check_values("concat", "a part", part);
  const Tensor& first = parts.front();
  axis = check_axis("concat", first, axis);
  Shape shape = first.shape();
  shape[axis] = 0;
  for (const Tensor& part : parts) {
    check_device("concat", "a part", first.array(), part.array());
    Shape rest = part.shape();
    bool fits = rest.rank() == shape.rank() && part.dtype() == first.dtype();
    if (fits) rest[axis] = shape[axis];
    check(fits && rest == shape,
          "concat: parts need one dtype, and one shape but for dimension {}; got {} {} and {} {}",
          axis, first.dtype(), first.shape(), part.dtype(), part.shape());
  }
  std::vector<int64_t> begins{0};
  for (const Tensor& part : parts) begins.push_back(begins.back() + part.dim(axis));
  shape[axis] = begins.back();
  Array y(shape, first.dtype(), first.array().device());
  for (size_t i = 0; i < parts.size(); ++i)
    backend(y)->layout.copy_block(parts[i].array(), 0, y, begins[i], parts[i].dim(axis), axis);

  bool needed = std::ranges::any_of(parts, [](const Tensor& part) { return part.requires_grad(); });
  if (!needed || NoGrad::active()) return y;
  auto backward = [begins, axis](Array dy) {
    std::vector<Array> grads;
    for (size_t i = 0; i + 1 < begins.size(); ++i) {
      Shape part = dy.shape();
      part[axis] = begins[i + 1] - begins[i];
      grads.emplace_back(part, dy.dtype(), dy.device());
      backend(dy)->layout.copy_block(dy, begins[i], grads.back(), 0, part[axis], axis);
    }
    return grads;
  };
  return record_node(y, parts, backward);
}

Tensor take_rows(const Tensor& table, const Array& ids) {
  check_values("take_rows", "the table", table);
  check(table.shape().rank() == 2, "take_rows: the table must be [V, C], got {}", table.shape());
  check_ids("take_rows", "ids", ids, 0, table.dim(0));
  check_device("take_rows", "the array of ids", table.array(), ids);
  std::vector<int64_t> dims(ids.shape().dims().begin(), ids.shape().dims().end());
  dims.push_back(table.dim(1));
  Array rows = ids.reshape({ids.size()});
  Array y = backend(ids)
                ->layout.take_rows(table.array(), rows)
                .reshape(Shape(std::span<const int64_t>(dims)));
  return record(y, {table}, [rows, shape = table.shape(), dtype = table.dtype()](Array dy) {
    Array sums = Array::shape_only(shape, dtype == DType::f64 ? DType::f64 : DType::f32);
    backend(dy)->embeddings.add_rows(dy.reshape({rows.size(), shape[1]}), rows, sums);
    return std::vector<Array>{to_dtype(sums, dtype)};
  });
}

}  // namespace folio

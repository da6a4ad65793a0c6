#include <algorithm>
#include <type_traits>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/epilogue.h"
#include "core/cpu/gemm.h"
#include "core/cpu/scratch.h"
#include "core/cpu/visit_dtype.h"

namespace folio {
namespace {

// What sums of T are kept in.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

DType sum_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

Shape with_last(Shape shape, int64_t last) {
  shape[-1] = last;
  return shape;
}

// y = a b tile by tile, with f(sums, i, j, cols) run on every row of a tile while it is hot: row i,
// columns [j, j + cols). The sums lie in y where they have its type, else in scratch; f writes y.
template <class A, class T, class F>
void gemm_rows(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, T* y, F&& f) {
  for_tiles(m, n, [&](int64_t i, int64_t j, int64_t rows, int64_t cols) {
    constexpr bool in_place = std::is_same_v<A, T>;
    const int64_t stride = in_place ? n : (cols + 15) / 16 * 16;
    const int64_t size = in_place ? 0 : rows * stride;
    Scratch scratch(Scratch::bytes_for<A>(size));
    A* sums = scratch.take<A>(size);
    if constexpr (in_place) sums = y + i * n + j;
    gemm(rows, cols, k, a.at(i, 0), b.at(0, j), sums, stride);
    for (int64_t r = 0; r < rows; ++r) f(sums + r * stride, i + r, j, cols);
  });
}

// Adds the sum of dy's rows [..., N] to db [N], which is made if it is undefined.
void add_sum_of_rows(const Array& dy, Array& db) {
  int64_t m = dy.rows(), n = dy.dim(-1);
  constexpr int64_t most = 16;  // partial sums, each of a fixed block of rows
  int64_t block = std::max<int64_t>(64, (m + most - 1) / most), blocks = (m + block - 1) / block;
  DType sums = sum_dtype(dy.dtype());
  Array partial({blocks + 1, n}, sums, cpu);
  if (!db.defined()) db = zeros({n}, sums, cpu);
  visit_dtype(dy.dtype(), "linear", [&]<class T>(T) {
    using A = SumOf<T>;
    const T* from = dy.data<T>();
    A *parts = partial.data<A>(), *total = parts + blocks * n;
    parallel_for(blocks, [&](int64_t b) {
      std::fill_n(parts + b * n, n, A(0));
      for (int64_t i = b * block; i < std::min(m, (b + 1) * block); ++i)
        add_row<A, T>(from + i * n, n, parts + b * n);
    });
    std::fill_n(total, n, A(0));
    for (int64_t b = 0; b < blocks; ++b) add_row<A, A>(parts + b * n, n, total);
    add_row<A, A>(total, n, db.data<A>());
  });
}

}  // namespace

Array CpuBackend::linear(const Array& x, const Array& w, const Array& bias, Unary act, Array* pre) {
  int64_t m = x.rows(), k = x.dim(-1), n = w.dim(0);
  Array y(with_last(x.shape(), n), x.dtype(), cpu);
  bool keep = pre && act != Unary::none;
  if (keep) *pre = Array(y.shape(), y.dtype(), cpu);
  if (m == 0) return y;
  // oneDNN takes b untransposed 5 % faster, which pays where many rows meet it.
  bool flip = m >= 4096 && x.dtype() != DType::f64;
  Array weight = flip      ? transpose(w, 0, 1, gemm_dtype(x.dtype()))
                 : m >= 64 ? gemm_operand(w, x.dtype())
                           : w;
  Array shift = bias;
  if (bias.defined() && bias.dtype() != sum_dtype(x.dtype()))
    shift = cast(bias, sum_dtype(x.dtype()));
  visit_dtype(x.dtype(), "linear", [&]<class T>(T) {
    using A = SumOf<T>;
    T *to = y.data<T>(), *before = keep ? pre->data<T>() : nullptr;
    const A* b = shift.defined() ? shift.data<A>() : nullptr;
    bool plain = std::is_same_v<A, T> && !b && act == Unary::none;
    auto finish = [&](const A* sums, int64_t i, int64_t j, int64_t cols) {
      if (plain) return;
      T* pre_row = before ? before + i * n + j : nullptr;
      bias_act<A, T>(sums, b ? b + j : nullptr, cols, act, pre_row, to + i * n + j);
    };
    gemm_rows<A>(m, n, k, operand(x), operand(weight, !flip), to, finish);
  });
  return y;
}

Array CpuBackend::linear_grad_x(const Array& dy, const Array& w, Unary act, const Array& pre,
                                Array* post) {
  int64_t m = dy.rows(), n = dy.dim(-1), k = w.dim(1);
  Array dx(with_last(dy.shape(), k), dy.dtype(), cpu);
  bool keep = post && act != Unary::none;
  if (keep) *post = Array(dx.shape(), dx.dtype(), cpu);
  if (m == 0) return dx;
  Array weight = m >= 64 ? gemm_operand(w, dy.dtype()) : w;
  visit_dtype(dy.dtype(), "linear", [&]<class T>(T) {
    using A = SumOf<T>;
    T *to = dx.data<T>(), *after = keep ? post->data<T>() : nullptr;
    const T* before = act == Unary::none ? nullptr : pre.data<T>();
    auto finish = [&](const A* sums, int64_t i, int64_t j, int64_t cols) {
      int64_t at = i * k + j;
      if (before)
        act_grad<A, T>(sums, before + at, cols, act, after ? after + at : nullptr, to + at);
      else if constexpr (!std::is_same_v<A, T>)
        bias_act<A, T>(sums, nullptr, cols, Unary::none, nullptr, to + at);
    };
    gemm_rows<A>(m, k, n, operand(dy), operand(weight), to, finish);
  });
  return dx;
}

void CpuBackend::linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db) {
  int64_t m = dy.rows(), n = dy.dim(-1), k = x.dim(-1);
  bool add = dw.defined();
  if (!add) dw = Array({n, k}, sum_dtype(dy.dtype()), cpu);
  parallel_gemm(n, k, m, operand(dy, true), operand(x), dw, add);
  if (db) add_sum_of_rows(dy, *db);
}

}  // namespace folio

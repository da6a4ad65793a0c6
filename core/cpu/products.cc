#include <algorithm>
#include <type_traits>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/epilogue.h"
#include "core/cpu/gemm.h"
#include "core/cpu/scratch.h"
#include "core/cpu/tiles/tile_gemm.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

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

// The matrix unit for activations in `dtype`, null where there is none, and a depth of k.
const TileUnit* tiles_for(DType dtype, int64_t k) {
  return dtype == DType::bf16 && k > 0 ? tile_unit() : nullptr;
}

// Adds the sum of dy's rows [..., N] to db [N], which is made if it is undefined.
void add_sum_of_rows(const Array& dy, Array& db) {
  int64_t m = dy.rows(), n = dy.dim(-1);
  constexpr int64_t most = 16;  // partial sums, each of a fixed block of rows
  int64_t block = std::max<int64_t>(64, (m + most - 1) / most), blocks = (m + block - 1) / block;
  DType sums = sum_dtype(dy.dtype());
  Array partial({blocks + 1, n}, sums, dy.device());
  if (!db.defined()) db = zeros({n}, sums, dy.device());
  db.begin_write("linear_grad_w");
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

// The matrices of a batch, one after the other, or one matrix for the whole batch.
struct Batch {
  Operand first;
  int64_t rows, cols;  // of a matrix, once it is transposed if it is to be
  int64_t step = 0;    // elements from one to the next, 0 where it is always the same

  Batch(const Array& x, bool transposed)
      : first{x.address(), x.dtype(), x.dim(-1), transposed},
        rows(x.dim(transposed ? -1 : -2)),
        cols(x.dim(transposed ? -2 : -1)) {
    if (x.shape().rank() > 2) step = rows * cols;
  }
  Operand at(int64_t i) const {
    Operand one = first;
    one.data = static_cast<const char*>(first.data) + i * step * int64_t(size_of(first.dtype));
    return one;
  }
};

// The tile at c of the product, narrowed from its f32 sums if T is bf16.
template <class T>
void multiply_tile(int64_t rows, int64_t cols, int64_t k, const Operand& a, const Operand& b, T* c,
                   int64_t ldc) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    Scratch scratch(Scratch::bytes_for<float>(rows * cols));
    auto* sums = scratch.take<float>(rows * cols);
    gemm(rows, cols, k, a, b, sums, cols);
    for (int64_t r = 0; r < rows; ++r)
      bias_act<float, T>(sums + r * cols, nullptr, cols, Unary::none, nullptr, c + r * ldc);
  } else {
    gemm(rows, cols, k, a, b, c, ldc);
  }
}

// A single product is cut as `linear` cuts its own, for all threads; those of a batch are whole,
// but for very large ones.
Tiling tile_of(int64_t batch, int64_t m, int64_t n) {
  if (batch < 8) return tiling(m, n);
  return {std::min<int64_t>(m, 512), std::min<int64_t>(n, 1536)};
}

class CpuProductOps final : public ProductOps {
 public:
  Array matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) override {
    Shape shape = a.shape().rank() >= b.shape().rank() ? a.shape() : b.shape();
    shape[-2] = a.dim(transpose_a ? -1 : -2);
    shape[-1] = b.dim(transpose_b ? -2 : -1);
    Array y(shape, a.dtype(), a.device());
    if (y.size() == 0) return y;
    const bool one_matrix =
        b.shape().rank() == 2 && !transpose_a;  // the rows of all a are one matrix
    const Batch left(one_matrix ? a.reshape({a.rows(), a.dim(-1)}) : a, transpose_a);
    const Batch right(b, transpose_b);
    const int64_t m = left.rows, n = right.cols, k = left.cols;
    const int64_t batch = y.size() / (m * n);
    count_flops(double(batch) * product_flops(m, n, k));
    const Tiling tile = tile_of(batch, m, n);
    const int64_t across = (n + tile.cols - 1) / tile.cols, down = (m + tile.rows - 1) / tile.rows;
    visit_dtype(a.dtype(), "matmul", [&]<class T>(T) {
      T* out = y.data<T>();
      parallel_for(batch * across * down, [&](int64_t task) {
        int64_t one = task / (across * down), i = task / across % down * tile.rows,
                j = task % across * tile.cols;
        multiply_tile(std::min(tile.rows, m - i), std::min(tile.cols, n - j), k,
                      left.at(one).at(i, 0), right.at(one).at(0, j), out + (one * m + i) * n + j,
                      n);
      });
    });
    return y;
  }

  Array linear(const Array& x, const Array& w, const Array& bias, Unary act, Array* pre) override {
    int64_t m = x.rows(), k = x.dim(-1), n = w.dim(0);
    Array y(with_last(x.shape(), n), x.dtype(), x.device());
    bool keep = pre && act != Unary::none;
    if (keep) *pre = Array(y.shape(), y.dtype(), x.device());
    if (m == 0) return y;
    count_flops(product_flops(m, n, k));
    const TileUnit* unit = tiles_for(x.dtype(), k);
    // oneDNN takes b untransposed 5 % faster, which pays where many rows meet it.
    bool flip = m >= 4096 && x.dtype() != DType::f64;
    Array weight = unit      ? w
                   : flip    ? backend(w)->layout.transpose(w, 0, 1, gemm_dtype(x.dtype()))
                   : m >= 64 ? gemm_operand(w, x.dtype())
                             : w;
    const Array shift = in_dtype(bias, sum_dtype(x.dtype()));
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
      if (unit) {
        const TilePanels panels = pack_panels(operand(w, true), k, n, x.device());
        if constexpr (std::is_same_v<T, bfloat16>)
          return tile_product(*unit, m, operand(x), panels, finish);
      }
      gemm_rows<A>(m, n, k, operand(x), operand(weight, !flip), to, finish);
    });
    return y;
  }

  Array linear_grad_x(const Array& dy, const Array& w, Unary act, const Array& pre,
                      Array* post) override {
    int64_t m = dy.rows(), n = dy.dim(-1), k = w.dim(1);
    Array dx(with_last(dy.shape(), k), dy.dtype(), dy.device());
    bool keep = post && act != Unary::none;
    if (keep) *post = Array(dx.shape(), dx.dtype(), dx.device());
    if (m == 0) return dx;
    count_flops(product_flops(m, n, k));
    const TileUnit* unit = tiles_for(dy.dtype(), n);
    Array weight = !unit && m >= 64 ? gemm_operand(w, dy.dtype()) : w;
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
      if (unit) {
        const TilePanels panels = pack_panels(operand(w), n, k, dy.device());
        if constexpr (std::is_same_v<T, bfloat16>)
          return tile_product(*unit, m, operand(dy), panels, finish);
      }
      gemm_rows<A>(m, k, n, operand(dy), operand(weight), to, finish);
    });
    return dx;
  }

  void linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db) override {
    int64_t m = dy.rows(), n = dy.dim(-1), k = x.dim(-1);
    bool add = dw.defined();
    if (!add) dw = Array({n, k}, sum_dtype(dy.dtype()), dy.device());
    dw.begin_write("linear_grad_w");
    count_flops(product_flops(m, n, k));
    parallel_gemm(n, k, m, operand(dy, true), operand(x), dw, add);
    if (db) add_sum_of_rows(dy, *db);
  }
};

}  // namespace

ProductOps& cpu_products() {
  static auto& operations = *new CpuProductOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

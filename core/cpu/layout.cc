#include <cstring>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/reductions.h"
#include "core/devices/costs.h"
#include "core/devices/exchange.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

// Operations that move numbers and change none.
namespace folio {
namespace {

// y [C, R] of x [R, C], whose rows are `x_row` apart and those of y `y_row`, for columns [begin,
// end) of x. By tiles that stay in the first cache: a line of x serves 16 columns of it.
template <class From, class To>
void transpose_columns(const From* x, int64_t x_row, To* y, int64_t y_row, int64_t R, int64_t begin,
                       int64_t end) {
  constexpr int64_t rows = 16;
  for (int64_t top = 0; top < R; top += rows) {
    int64_t bottom = std::min(R, top + rows);
    for (int64_t c = begin; c < end; ++c)
      for (int64_t r = top; r < bottom; ++r) y[c * y_row + r] = To(x[r * x_row + c]);
  }
}

template <class From, class To>
void exchange(const Exchange& s, const From* x, To* y) {
  if (s.C > 1) {  // runs of C stay whole
    parallel_blocks(s.A * s.N * s.B, std::max<int64_t>(1, (1 << 14) / (s.M * s.C)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t task = begin; task < end; ++task) {
                        int64_t b = task % s.B, n = task / s.B % s.N, a = task / s.B / s.N;
                        To* to = y + task * s.M * s.C;
                        for (int64_t m = 0; m < s.M; ++m, to += s.C) {
                          const From* from = x + (((a * s.M + m) * s.B + b) * s.N + n) * s.C;
                          for (int64_t c = 0; c < s.C; ++c) to[c] = To(from[c]);
                        }
                      }
                    });
    return;
  }
  constexpr int64_t columns = 64;
  const int64_t blocks = (s.N + columns - 1) / columns;
  parallel_for(s.A * s.B * blocks, [&](int64_t task) {
    int64_t begin = task % blocks * columns, b = task / blocks % s.B, a = task / blocks / s.B;
    transpose_columns(x + (a * s.M * s.B + b) * s.N, s.B * s.N, y + (a * s.N * s.B + b) * s.M,
                      s.B * s.M, s.M, begin, std::min(s.N, begin + columns));
  });
}

class CpuLayoutOps final : public LayoutOps {
 public:
  Array transpose(const Array& x, int i, int j, DType dtype) override {
    Shape shape = x.shape();
    std::swap(shape[i], shape[j]);
    Array y(shape, dtype, x.device());
    if (y.size() == 0) return y;
    const Exchange sizes(x.shape(), i, j);
    visit_dtype(x.dtype(), "transpose", [&]<class From>(From) {
      visit_dtype(dtype, "transpose",
                  [&]<class To>(To) { exchange(sizes, x.data<From>(), y.data<To>()); });
    });
    return y;
  }

  void copy_block(const Array& from, int64_t from_begin, Array& to, int64_t to_begin, int64_t n,
                  int axis) override {
    to.begin_write("copy_block");
    count_bytes(2.0 * double(from.bytes()) * double(n) /
                double(std::max<int64_t>(1, from.dim(axis))));
    const AxisView source(from.shape(), axis), target(to.shape(), axis);
    const size_t run = size_t(source.inner) * size_of(from.dtype());  // bytes
    const size_t bytes = size_t(n) * run;
    if (bytes == 0) return;
    const char* in = static_cast<const char*>(from.address()) + size_t(from_begin) * run;
    char* out = static_cast<char*>(to.address()) + size_t(to_begin) * run;
    parallel_blocks(source.outer, std::max<int64_t>(1, (1 << 16) / int64_t(bytes)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t o = begin; o < end; ++o)
                        std::memcpy(out + size_t(o * target.n) * run,
                                    in + size_t(o * source.n) * run, bytes);
                    });
  }

  Array take_rows(const Array& table, const Array& ids) override {
    Array taken({ids.size(), table.dim(1)}, table.dtype(), table.device());
    count_bytes(moved_bytes(taken));
    const size_t bytes = size_t(table.dim(1)) * size_of(table.dtype());
    const char* from = static_cast<const char*>(table.address());
    char* to = static_cast<char*>(taken.address());
    const int32_t* id = ids.data<int32_t>();
    if (taken.size() == 0) return taken;
    parallel_blocks(ids.size(), std::max<int64_t>(1, (1 << 16) / int64_t(bytes)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t r = begin; r < end; ++r)
                        std::memcpy(to + size_t(r) * bytes, from + size_t(id[r]) * bytes, bytes);
                    });
    return taken;
  }

  Array pick(const Array& x, const Array& ids) override {
    Array y(ids.shape(), x.dtype(), x.device());
    count_bytes(moved_bytes(y));
    const int32_t* id = ids.data<int32_t>();
    const int64_t V = x.dim(-1);
    visit_dtype(x.dtype(), "pick", [&]<class T>(T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      for (int64_t r = 0; r < ids.size(); ++r) to[r] = id[r] < 0 ? T(0) : from[r * V + id[r]];
    });
    return y;
  }

  Array pick_grad(const Array& dy, const Array& ids, const Shape& shape) override {
    Array dx = zeros(shape, dy.dtype(), dy.device());
    const int32_t* id = ids.data<int32_t>();
    const int64_t V = shape[-1];
    visit_dtype(dy.dtype(), "pick_grad", [&]<class T>(T) {
      const T* from = dy.data<T>();
      T* to = dx.data<T>();
      for (int64_t r = 0; r < ids.size(); ++r)
        if (id[r] >= 0) to[r * V + id[r]] = from[r];
    });
    return dx;
  }
};

}  // namespace

LayoutOps& cpu_layout() {
  static auto& operations = *new CpuLayoutOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

// The inference path's matrix product. An element of the result is one chain of multiply-adds over
// k, whatever tile, row or thread it falls in, so that decoding a token gives the bits that a
// prefill of the same row would.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/packed_gemm.cc"
#include <hwy/foreach_target.h>
// The target must be known before these.
#include "core/cpu/cpu_backend.h"
#include "core/cpu/packed_gemm-inl.h"
#include "core/cpu/parallel.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"

#ifndef FOLIO_CORE_CPU_PACKED_GEMM_SHARED
#define FOLIO_CORE_CPU_PACKED_GEMM_SHARED
namespace folio {

// A block of rows goes through the kernel together, a chunk of blocks shares each panel of w while
// it is in the cache. Blocks differ by at most one row.
struct RowBlocks {
  static constexpr int64_t blocks_per_chunk = 4;
  int64_t rows, blocks, chunks;

  RowBlocks(int64_t rows, int64_t max_rows)
      : rows(rows),
        blocks((rows + max_rows - 1) / max_rows),
        chunks((blocks + blocks_per_chunk - 1) / blocks_per_chunk) {}
  int64_t begin(int64_t block) const { return rows * block / blocks; }
  int64_t first_block(int64_t chunk) const { return blocks * chunk / chunks; }
};

// Into how many groups to cut the panels of a chunk, so that every thread has work worth waking it
// for and finishes with the others. It may depend on the threads: no sum is cut.
inline int64_t panel_groups(int64_t panels, int64_t multiply_adds, const RowBlocks& row) {
  constexpr int64_t worth_a_task = 1 << 15;  // about 2 us
  const int64_t tasks = omp_get_max_threads() * (row.blocks == 1 ? 1 : 4);
  const int64_t wanted =
      std::min((tasks + row.chunks - 1) / row.chunks, multiply_adds / worth_a_task);
  return std::clamp<int64_t>(wanted, 1, panels);
}

}  // namespace folio
#endif

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// w [N, K] -> panels [ceil(N / panel), K, panel], the last one padded with zeros.
template <class T>
PackedWeight pack_as(const Array& w) {
  constexpr int64_t panel = Tile<T>::panel;
  const int64_t N = w.dim(0), K = w.dim(1), panels = (N + panel - 1) / panel;
  PackedWeight packed{Array({panels, K, panel}, w.dtype()), N, K};
  const T* from = w.data<T>();
  T* to = packed.data.data<T>();
  parallel_for(panels, [&](int64_t p) HWY_ATTR {
    const int64_t columns = std::min(panel, N - p * panel);
    T* out = to + p * K * panel;
    for (int64_t k = 0; k < K; ++k, out += panel) {
      for (int64_t j = 0; j < columns; ++j) out[j] = from[(p * panel + j) * K + k];
      std::fill(out + columns, out + panel, T(0));
    }
  });
  return packed;
}

// x [rows, K] -> [K / block_k][rows][stride_k], widened to T.
template <class T, class X>
void pack_rows(const X* x, int64_t rows, int64_t K, T* packed) {
  for (int64_t k0 = 0; k0 < K; k0 += block_k) {
    const int64_t count = std::min(block_k, K - k0);
    for (int64_t r = 0; r < rows; ++r, packed += stride_k) {
      const X* from = x + r * K + k0;
      for (int64_t k = 0; k < count; ++k) packed[k] = T(from[k]);
    }
  }
}

template <class T>
struct Epilogue {
  const Array& bias;  // [N] or undefined
  Unary act;

  // The panel's part of the bias, zeros past its end.
  void load_bias(int64_t column, int64_t columns, T* to) const {
    std::fill(to, to + Tile<T>::panel, T(0));
    if (!bias.defined()) return;
    if (bias.dtype() == DType::bf16) {
      std::copy_n(bias.data<bfloat16>() + column, columns, to);
    } else {
      std::copy_n(bias.data<T>() + column, columns, to);
    }
  }

  // y = act(tile + bias), the first `columns` of each row; whole vectors, so a row's last elements
  // are no special case.
  template <class Y>
  void operator()(T* tile, int64_t rows, const T* bias_panel, int64_t columns, Y* y,
                  int64_t N) const {
    const Tag<T> d;
    const auto apply = [&](auto&& f) HWY_ATTR {
      for (int64_t i = 0; i < rows * Tile<T>::panel; i += Tile<T>::lanes) {
        const auto x =
            load(d, tile + i, Whole()) + load(d, bias_panel + i % Tile<T>::panel, Whole());
        store(f(x), tile + i, Whole());
      }
    };
    if (act == Unary::none) {
      apply([](auto x) HWY_ATTR { return x; });
    } else {
      visit_unary(act,
                  [&](auto op) HWY_ATTR { apply([&](auto x) HWY_ATTR { return op.value(x); }); });
    }
    for (int64_t r = 0; r < rows; ++r, tile += Tile<T>::panel, y += N) {
      for (int64_t j = 0; j < columns; ++j) y[j] = Y(tile[j]);
    }
  }
};

// T is the type of w and of the sums, X that of x and y.
template <class T, class X>
Array multiply_as(const Array& x, const PackedWeight& w, const Array& bias, Unary act, Array y) {
  constexpr int64_t panel = Tile<T>::panel;
  const int64_t N = w.n, K = w.k, panels = w.data.dim(0);
  const RowBlocks row(x.rows(), Tile<T>::max_rows);
  const int64_t packed_row = (K + block_k - 1) / block_k * stride_k;
  const Epilogue<T> epilogue{bias, act};
  const int64_t groups = panel_groups(panels, row.rows * N * K, row);
  parallel_for(row.chunks * groups, [&](int64_t task) HWY_ATTR {
    const int64_t group = task % groups, first = row.first_block(task / groups),
                  last = row.first_block(task / groups + 1), top = row.begin(first);
    Scratch scratch(Scratch::bytes_for<T>((row.begin(last) - top) * packed_row));
    T* packed = scratch.take<T>((row.begin(last) - top) * packed_row);
    for (int64_t b = first; b < last; ++b) {
      const int64_t i = row.begin(b);
      pack_rows(x.data<X>() + i * K, row.begin(b + 1) - i, K, packed + (i - top) * packed_row);
    }
    alignas(64) T tile[Tile<T>::max_rows * panel], bias_panel[panel];
    for (int64_t p = panels * group / groups; p < panels * (group + 1) / groups; ++p) {
      const int64_t column = p * panel, columns = std::min(panel, N - column);
      epilogue.load_bias(column, columns, bias_panel);
      for (int64_t b = first; b < last; ++b) {
        const int64_t i = row.begin(b), rows = row.begin(b + 1) - i;
        tile_kernels<T>[size_t(rows - 1)](packed + (i - top) * packed_row,
                                          w.data.data<T>() + p * K * panel, K, tile);
        epilogue(tile, rows, bias_panel, columns, y.data<X>() + i * N + column, N);
      }
    }
  });
  return y;
}

PackedWeight pack_weight(const Array& w) {
  return w.dtype() == DType::f64 ? pack_as<double>(w) : pack_as<float>(w);
}

Array multiply_packed(const Array& x, const PackedWeight& w, const Array& bias, Unary act,
                      const Array& y) {
  switch (x.dtype()) {
    case DType::f64:
      return multiply_as<double, double>(x, w, bias, act, y);
    case DType::bf16:
      return multiply_as<float, bfloat16>(x, w, bias, act, y);
    default:
      return multiply_as<float, float>(x, w, bias, act, y);
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(pack_weight);
HWY_EXPORT(multiply_packed);

PackedWeight CpuBackend::pack(const Array& w) {
  check(w.shape().rank() == 2 && (w.dtype() == DType::f32 || w.dtype() == DType::f64),
        "pack: needs a weight [N, K] in float32 (float64 for tests), got {} in {}", w.shape(),
        w.dtype());
  return HWY_DYNAMIC_DISPATCH(pack_weight)(w);
}

Array CpuBackend::linear_packed(const Array& x, const PackedWeight& w, const Array& bias,
                                Unary act) {
  check(x.dim(-1) == w.k, "linear_packed: x {} does not fit a packed weight [{}, {}]", x.shape(),
        w.n, w.k);
  check((x.dtype() == DType::f64) == (w.data.dtype() == DType::f64),
        "linear_packed: x in {} does not go with a weight packed from {}; convert one of them",
        x.dtype(), w.data.dtype());
  Shape shape = x.shape();
  shape[-1] = w.n;
  Array y(shape, x.dtype());
  if (y.size() == 0) return y;
  return HWY_DYNAMIC_DISPATCH(multiply_packed)(x, w, bias, act, y);
}

}  // namespace folio
#endif

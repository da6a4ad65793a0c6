// Weights in float32, and in float64 for tests: the tile that they are packed for and the one loop
// that multiplies by it. One of the three kinds of product that packed_gemm.cc drives.
#if defined(FOLIO_CORE_CPU_PACKED_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_PACKED_GEMM_INL_H_
#undef FOLIO_CORE_CPU_PACKED_GEMM_INL_H_
#else
#define FOLIO_CORE_CPU_PACKED_GEMM_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "core/array.h"
#include "core/cpu/packed_tile.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A tile of the result is up to max_rows x panel elements, all of it in registers: 14 x 2 vectors
// where there are 32 of them, 6 x 2 (4 x 2 for f64, which only tests use) where there are 16.
template <class T>
struct Tile {
  static constexpr bool many_registers = HWY_ARCH_ARM_A64 || HWY_TARGET <= HWY_AVX3;
  static constexpr int max_rows = sizeof(T) == 8 ? 4 : many_registers ? 14 : 6;
  static constexpr int lanes = int(hn::MaxLanes(hn::ScalableTag<T>()));
  static constexpr int vectors = 2;
  static constexpr int panel = vectors * lanes;
};

// tile [rows, panel] = a b^T, a [K / block_k][rows][stride_k], b [K][panel]. Each element is one
// chain of multiply-adds from zero, k ascending, whatever `rows` is.
template <int rows, class T>
HWY_NOINLINE void multiply_tile(const T* HWY_RESTRICT a, const T* HWY_RESTRICT b, int64_t K,
                                T* HWY_RESTRICT tile) {
  constexpr int lanes = Tile<T>::lanes;
  constexpr int64_t prefetch = 16 * Tile<T>::panel;  // elements of b ahead
  const hn::ScalableTag<T> d;
  hn::Vec<decltype(d)> sum[rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = hn::Zero(d);
  for (int64_t k0 = 0; k0 < K; k0 += block_k, a += rows * stride_k) {
    const int64_t count = std::min(block_k, K - k0);
    for (int64_t k = 0; k < count; ++k, b += Tile<T>::panel) {
      hwy::Prefetch(b + prefetch);
      hwy::Prefetch(b + prefetch + lanes);
      const auto b0 = hn::Load(d, b);
      const auto b1 = hn::Load(d, b + lanes);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const auto x = hn::Set(d, a[r * stride_k + k]);
        sum[r][0] = hn::MulAdd(x, b0, sum[r][0]);
        sum[r][1] = hn::MulAdd(x, b1, sum[r][1]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    hn::Store(sum[r][0], d, tile + r * Tile<T>::panel);
    hn::Store(sum[r][1], d, tile + r * Tile<T>::panel + lanes);
  }
}

// F<1>, F<2>, ... F<max_rows>: the kernel for each number of rows.
template <template <int> class F, int max_rows>
constexpr auto for_each_rows() {
  return []<int... i>(std::integer_sequence<int, i...>) { return std::array{F<i + 1>::tile...}; }
  (std::make_integer_sequence<int, max_rows>());
}

// What a kind of product says of how packed.cc runs it, where it needs nothing for that.
struct InVectors {
  using Panel = char;  // of w, expanded once for all rows that meet it
  int64_t expanded_size() const { return 0; }
  const void* expand(const void* panel, Panel*) const { return panel; }
  int64_t blocks_per_chunk() const { return 4; }
  struct Session {};  // what a task holds while it multiplies
  Session session() const { return {}; }
};

// What packed.cc needs of a kind of product besides: the sums' type, the tile, and rows of x and
// weights [N, K] in the layout that its kernels read.
template <class T>
struct PlainProduct : InVectors {
  using Sum = T;
  using Row = T;  // of x, packed
  static constexpr int panel = Tile<T>::panel, max_rows = Tile<T>::max_rows;
  int64_t K;

  int64_t row_size() const { return (K + block_k - 1) / block_k * stride_k; }
  static Shape shape(int64_t N, int64_t K) { return {(N + panel - 1) / panel, K, panel}; }

  // x [rows, K] -> [K / block_k][rows][stride_k], widened to T.
  template <class X>
  void pack_rows(const X* x, int64_t rows, T* packed) const {
    for (int64_t k0 = 0; k0 < K; k0 += block_k) {
      const int64_t count = std::min(block_k, K - k0);
      for (int64_t r = 0; r < rows; ++r, packed += stride_k) {
        const X* from = x + r * K + k0;
        for (int64_t k = 0; k < count; ++k) packed[k] = T(from[k]);
      }
    }
  }
  // Rows [row, row + columns) of w [N, K] -> [K, panel], zeros in the columns that are left.
  static void pack_panel(const T* w, int64_t row, int64_t columns, int64_t K, void* to) {
    T* out = static_cast<T*>(to);
    for (int64_t k = 0; k < K; ++k, out += panel) {
      for (int64_t j = 0; j < columns; ++j) out[j] = w[(row + j) * K + k];
      std::fill(out + columns, out + panel, T(0));
    }
  }
  // Row `column` of w, from the panel that holds it.
  void unpack_row(const void* from, int64_t column, T* row) const {
    const T* at = static_cast<const T*>(from) + column;
    for (int64_t k = 0; k < K; ++k) row[k] = at[k * panel];
  }

  template <int rows>
  struct Kernel {
    static constexpr auto tile = &multiply_tile<rows, T>;
  };
  void multiply(int64_t rows, const T* x, const void* w, T* tile) const {
    static constexpr auto kernels = for_each_rows<Kernel, max_rows>();
    kernels[size_t(rows - 1)](x, static_cast<const T*>(w), K, tile);
  }
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

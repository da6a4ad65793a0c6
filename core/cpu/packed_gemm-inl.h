// The per-target half of packed_gemm.cc: the tile that a weight is packed for and the one loop that
// multiplies by it.
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

// Rows of x go through the kernel in blocks of k whose rows are `stride_k` apart: a constant, so
// that one pointer addresses every row, and no power of two, so that they do not share cache sets.
inline constexpr int64_t block_k = 256;
inline constexpr int64_t stride_k = block_k + 16;

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

template <class T>
using TileKernel = void (*)(const T*, const T*, int64_t, T*);

// The kernel for each number of rows, from 1.
template <class T>
inline constexpr auto tile_kernels = []<int... i>(std::integer_sequence<int, i...>) {
  return std::array<TileKernel<T>, sizeof...(i)>{multiply_tile<i + 1, T>...};
}
(std::make_integer_sequence<int, Tile<T>::max_rows>());

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// Weights in bfloat16, two neighbours in k at a time, as the dot-product instructions of bf16 take
// them. Compiled once per SIMD target, hence the toggled guard.
#if defined(FOLIO_CORE_CPU_PACKED_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_PACKED_PAIRS_INL_H_
#undef FOLIO_CORE_CPU_PACKED_PAIRS_INL_H_
#else
#define FOLIO_CORE_CPU_PACKED_PAIRS_INL_H_
#endif

#include "core/cpu/dot_kernels.h"
#include "core/cpu/packed_gemm-inl.h"
#include "core/cpu/simd-inl.h"
#include "core/cpu/tiles/tile_unit.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// As multiply_tile, over pairs: a pair adds its odd product, then its even one, to the element's
// chain, which is how the instructions are specified.
template <int rows>
HWY_NOINLINE void multiply_pairs(const uint32_t* HWY_RESTRICT a, const uint32_t* HWY_RESTRICT b,
                                 int64_t pairs, float* HWY_RESTRICT tile) {
  constexpr int lanes = Tile<float>::lanes, panel = Tile<float>::panel;
  const hn::ScalableTag<float> d;
  const hn::ScalableTag<uint32_t> d32;
  const auto even = [&](auto pair) HWY_ATTR { return hn::BitCast(d, hn::ShiftLeft<16>(pair)); };
  const auto odd = [&](auto pair) HWY_ATTR {
    return hn::BitCast(d, hn::And(pair, hn::Set(d32, 0xffff0000u)));
  };
  hn::Vec<decltype(d)> sum[rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = hn::Zero(d);
  for (int64_t k0 = 0; k0 < pairs; k0 += block_k, a += rows * stride_k) {
    const int64_t count = std::min(block_k, pairs - k0);
    for (int64_t k = 0; k < count; ++k, b += panel) {
      const auto b0 = hn::Load(d32, b), b1 = hn::Load(d32, b + lanes);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const auto x = hn::Set(d32, a[r * stride_k + k]);
        const auto x_odd = odd(x), x_even = even(x);
        sum[r][0] = hn::MulAdd(x_even, even(b0), hn::MulAdd(x_odd, odd(b0), sum[r][0]));
        sum[r][1] = hn::MulAdd(x_even, even(b1), hn::MulAdd(x_odd, odd(b1), sum[r][1]));
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    hn::Store(sum[r][0], d, tile + r * panel);
    hn::Store(sum[r][1], d, tile + r * panel + lanes);
  }
}

struct PairProduct : InVectors {
  using Sum = float;
  using Row = uint32_t;
  static constexpr int panel = Tile<float>::panel;
  static constexpr int max_rows = Tile<float>::many_registers ? DotKernels::max_rows : 4;
  int64_t K;

  int64_t pairs() const { return (K + 1) / 2; }
  int64_t row_size() const { return (pairs() + block_k - 1) / block_k * stride_k; }
  static Shape shape(int64_t N, int64_t K) {
    const int64_t unit = panel == panel_columns ? tile_depth : 2;  // whole tiles of a matrix unit
    return {(N + panel - 1) / panel, (K + unit - 1) / unit * unit / 2, panel, 2};
  }

  // x [rows, K], rounded to bf16 -> [pairs / block_k][rows][stride_k]
  template <class X>
  void pack_rows(const X* x, int64_t rows, uint32_t* packed) const {
    const Tag<float> d;
    for (int64_t k0 = 0; k0 < K; k0 += 2 * block_k) {
      const int64_t count = std::min(2 * block_k, K - k0);
      for (int64_t r = 0; r < rows; ++r, packed += stride_k) {
        auto* to = reinterpret_cast<bfloat16*>(packed);
        for_vectors(d, 0, count, [&](int64_t k, auto n) HWY_ATTR {
          store(load(d, x + r * K + k0 + k, n), to + k, n);
        });
        if (count % 2 == 1) to[count] = bfloat16();
      }
    }
  }
  // W: float, or the bf16 that it would become.
  template <class W>
  static void pack_panel(const W* w, int64_t row, int64_t columns, int64_t K, void* to) {
    auto* out = static_cast<uint32_t*>(to);
    const auto at = [&](int64_t j, int64_t k) {
      return bfloat16(k < K ? float(w[(row + j) * K + k]) : 0.0f);
    };
    for (int64_t k = 0; k < 2 * shape(1, K)[1]; k += 2, out += panel) {
      for (int64_t j = 0; j < columns; ++j) out[j] = pair_of(at(j, k), at(j, k + 1));
      std::fill(out + columns, out + panel, 0);
    }
  }
  void unpack_row(const void* from, int64_t column, float* row) const {
    const auto* at = static_cast<const bfloat16*>(from) + 2 * column;
    for (int64_t k = 0; k < K; ++k) row[k] = at[k / 2 * 2 * panel + k % 2];
  }

  template <int rows>
  struct Kernel {
    static constexpr auto tile = &multiply_pairs<rows>;
  };
  void multiply(int64_t rows, const uint32_t* x, const void* w, float* tile) const {
    static constexpr auto kernels = for_each_rows<Kernel, max_rows>();
    DotKernels::Pairs kernel = kernels[size_t(rows - 1)];
    if (panel == 2 * DotKernels::lanes && dot_kernels().bf16) kernel = dot_kernels().bf16[rows - 1];
    kernel(x, static_cast<const uint32_t*>(w), pairs(), tile);
  }
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

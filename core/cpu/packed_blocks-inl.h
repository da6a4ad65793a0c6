// Weights in blocks of 8 or 4 bits: see packed_blocks.h. Compiled once per SIMD target, hence the
// toggled guard.
#if defined(FOLIO_CORE_CPU_PACKED_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_PACKED_BLOCKS_INL_H_
#undef FOLIO_CORE_CPU_PACKED_BLOCKS_INL_H_
#else
#define FOLIO_CORE_CPU_PACKED_BLOCKS_INL_H_
#endif

#include <cstring>

#include "core/cpu/dot_kernels.h"
#include "core/cpu/packed_gemm-inl.h"
#include "core/cpu/quantize-inl.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/check_packed.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// The record's u - 128 as floats, [k][row].
#if HWY_TARGET == HWY_SCALAR

template <WeightFormat format>
void expand_record(const uint8_t* record, float* to) {
  for (int64_t i = 0; i < block_size * block_size; ++i)
    to[i] = float(weight_at<format>(record, i % block_size, i / block_size));
}

#else

template <WeightFormat format>
HWY_INLINE void expand_record(const uint8_t* record, float* to) {
  const Lanes16<float> d;
  const hn::RebindToUnsigned<decltype(d)> d32;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Repartition<uint8_t, decltype(d)> d8;
  const auto put = [&](auto four, int64_t k, int64_t row) HWY_ATTR {
    const auto byte = [&](auto shifted) HWY_ATTR {
      const auto u = hn::And(shifted, hn::Set(d32, 255));
      return hn::ConvertTo(d, hn::Sub(hn::BitCast(di, u), hn::Set(di, 128)));
    };
    float* at = to + k * block_size + row;
    hn::StoreU(byte(four), d, at);
    hn::StoreU(byte(hn::ShiftRight<8>(four)), d, at + block_size);
    hn::StoreU(byte(hn::ShiftRight<16>(four)), d, at + 2 * block_size);
    hn::StoreU(byte(hn::ShiftRight<24>(four)), d, at + 3 * block_size);
  };
  constexpr int64_t depth = format == WeightFormat::int4 ? 8 : 4;  // k that a byte's place holds
  for (int64_t k = 0; k < block_size; k += depth) {
    for (int64_t row = 0; row < block_size; row += int64_t(hn::Lanes(d))) {
      const uint8_t* at = record + k / depth * 4 * block_size + 4 * row;
      const auto four = hn::BitCast(d32, hn::LoadU(d8, at));
      if constexpr (format == WeightFormat::int8) {
        put(four, k, row);
      } else {
        const auto levels = hn::LoadDup128(d8, int4_levels.data());
        const auto low = hn::Set(d32, 0x0f0f0f0f);
        const auto level = [&](auto index) HWY_ATTR {
          return hn::BitCast(d32, hn::TableLookupBytes(levels, hn::BitCast(d8, index)));
        };
        put(level(hn::And(four, low)), k, row);
        put(level(hn::And(hn::ShiftRight<4>(four), low)), k + 4, row);
      }
    }
  }
}

#endif

// tile [rows, 32] = x w^T, x [blocks][rows]. An element is one chain over the blocks, k ascending:
// the block's dot product, an exact integer (sums stay below 2^24, so f32 holds them too), times
// the product of the two scales.
template <int rows, WeightFormat format>
HWY_NOINLINE void multiply_blocks(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                                  float* HWY_RESTRICT tile) {
  const Lanes16<float> d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  HWY_ALIGN float weights[block_size * block_size];
  std::fill(tile, tile + rows * block_size, 0.0f);
  for (int64_t b = 0; b < blocks; ++b, panel += record_bytes(format), x += rows) {
    expand_record<format>(panel, weights);
    const auto* scales = reinterpret_cast<const bfloat16*>(panel + weight_bytes(format));
    for (int64_t row = 0; row < block_size; row += lanes) {
      hn::Vec<decltype(d)> dot[rows];
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) dot[r] = hn::Zero(d);
      for (int64_t k = 0; k < block_size; ++k) {
        const auto w = hn::Load(d, weights + k * block_size + row);
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) {
          dot[r] = hn::MulAdd(hn::Set(d, float(x[r].q[k])), w, dot[r]);
        }
      }
      const auto scale = load(d, scales + row, Whole()).v;
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        float* to = tile + r * block_size + row;
        const auto product = hn::Mul(scale, hn::Set(d, x[r].scale));
        hn::Store(hn::MulAdd(dot[r], product, hn::Load(d, to)), d, to);
      }
    }
  }
}

template <WeightFormat format>
struct BlockProduct : InVectors {
  using Sum = float;
  using Row = ActivationBlock;
  static constexpr int panel = block_size, max_rows = DotKernels::max_rows;
  int64_t K;

  int64_t row_size() const { return blocks_of(K); }
  static Shape shape(int64_t N, int64_t K) { return packed_blocks_shape(N, K, format); }

  // x [rows, K] -> [blocks][rows].
  template <class X>
  void pack_rows(const X* x, int64_t rows, ActivationBlock* packed) const {
    for (int64_t k = 0; k < K; k += block_size)
      for (int64_t r = 0; r < rows; ++r)
        quantize_activations(x + r * K + k, std::min(block_size, K - k), *packed++);
  }
  static void pack_panel(const float* w, int64_t row, int64_t columns, int64_t K, void* to) {
    auto* record = static_cast<uint8_t*>(to);
    for (int64_t k = 0; k < K; k += block_size, record += record_bytes(format)) {
      for (int64_t j = 0; j < block_size; ++j) {
        const int64_t count = j < columns ? std::min(block_size, K - k) : 0;
        quantize_weights<format>(w + (row + j) * K + k, count, record, j);
      }
    }
  }
  void unpack_row(const void* from, int64_t column, float* row) const {
    const auto* record = static_cast<const uint8_t*>(from);
    for (int64_t k = 0; k < K; ++k) {
      const uint8_t* at = record + k / block_size * record_bytes(format);
      const auto* scales = reinterpret_cast<const bfloat16*>(at + weight_bytes(format));
      row[k] = float(scales[column]) * float(weight_at<format>(at, column, k % block_size));
    }
  }

  template <int rows>
  struct Kernel {
    static constexpr auto tile = &multiply_blocks<rows, format>;
  };
  void multiply(int64_t rows, const ActivationBlock* x, const void* w, float* tile) const {
    static constexpr auto kernels = for_each_rows<Kernel, max_rows>();
    DotKernels::Blocks kernel = kernels[size_t(rows - 1)];
    if (HWY_TARGET != HWY_SCALAR) {
      const auto* tiles = format == WeightFormat::int8 ? dot_kernels().int8 : dot_kernels().int4;
      if (tiles) kernel = tiles[rows - 1];
    }
    kernel(x, static_cast<const uint8_t*>(w), row_size(), tile);
  }
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#include "core/cpu/arm64/dot_kernels.h"

#include <arm_neon.h>
#include <sys/auxv.h>

#include <cstring>
#include <utility>

#include "core/bfloat16.h"
#include "core/cpu/packed_tile.h"

namespace folio {
namespace {

#define FOLIO_BF16 __attribute__((target("arch=armv8.2-a+bf16")))
#define FOLIO_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#define FOLIO_MATRIX __attribute__((target("arch=armv8.2-a+i8mm")))
#define FOLIO_INLINE __attribute__((always_inline)) inline

constexpr int bf16_panel = 2 * DotKernels::lanes;

// A pair of k of 8 rows of w times those of rows of x: the pair `lane` of each x[r].
template <int rows, int lane>
FOLIO_BF16 FOLIO_INLINE void add_pair(const bfloat16x8_t (&x)[rows], const uint32_t* panel,
                                      float32x4_t (&sum)[rows][2]) {
  const auto w0 = vreinterpretq_bf16_u32(vld1q_u32(panel + lane * bf16_panel));
  const auto w1 = vreinterpretq_bf16_u32(vld1q_u32(panel + lane * bf16_panel + 4));
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    sum[r][0] = vbfdotq_laneq_f32(sum[r][0], w0, x[r], lane);
    sum[r][1] = vbfdotq_laneq_f32(sum[r][1], w1, x[r], lane);
  }
}

// See multiply_pairs in packed_pairs-inl.h.
template <int rows>
FOLIO_BF16 void pairs_tile(const uint32_t* x, const uint32_t* panel, int64_t pairs, float* tile) {
  float32x4_t sum[rows][2];
  bfloat16x8_t at[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = vdupq_n_f32(0);
  for (int64_t k0 = 0; k0 < pairs; k0 += block_k, x += rows * stride_k) {
    const int64_t count = pairs - k0 < block_k ? pairs - k0 : block_k;
    int64_t k = 0;
    for (; k + 4 <= count; k += 4, panel += 4 * bf16_panel) {
      __builtin_prefetch(panel + 16 * bf16_panel);
      __builtin_prefetch(panel + 18 * bf16_panel);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r)
        at[r] = vreinterpretq_bf16_u32(vld1q_u32(x + r * stride_k + k));
      add_pair<rows, 0>(at, panel, sum);
      add_pair<rows, 1>(at, panel, sum);
      add_pair<rows, 2>(at, panel, sum);
      add_pair<rows, 3>(at, panel, sum);
    }
    for (; k < count; ++k, panel += bf16_panel) {
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r)
        at[r] = vreinterpretq_bf16_u32(vdupq_n_u32(x[r * stride_k + k]));
      add_pair<rows, 0>(at, panel, sum);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    vst1q_f32(tile + r * bf16_panel, sum[r][0]);
    vst1q_f32(tile + r * bf16_panel + 4, sum[r][1]);
  }
}

// Of 4 rows of w, the weights u - 128 of 8 k: those with k % 8 < 4, then the others, 4 bytes a row.
struct Weights {
  int8x16_t even, odd;
};
template <WeightFormat format>
FOLIO_INLINE Weights weights_at(const uint8_t* record, int k8, int row4) {
  if constexpr (format == WeightFormat::int8) {
    const uint8_t* at = record + (2 * k8 * block_size + 4 * row4) * 4;
    const auto centred = [](const uint8_t* u) {
      return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(u), vdupq_n_u8(128)));
    };
    return {centred(at), centred(at + 4 * block_size)};
  } else {
    static constexpr auto values = [] {
      std::array<int8_t, 16> narrow{};
      for (size_t i = 0; i < narrow.size(); ++i) narrow[i] = int8_t(int4_values[i]);
      return narrow;
    }();
    const int8x16_t table = vld1q_s8(values.data());
    const uint8x16_t two = vld1q_u8(record + (k8 * block_size + 4 * row4) * 4);
    return {vqtbl1q_s8(table, vandq_u8(two, vdupq_n_u8(15))),
            vqtbl1q_s8(table, vshrq_n_u8(two, 4))};
  }
}

// The scales of 4 rows of w, widened from bf16.
template <WeightFormat format>
FOLIO_INLINE float32x4_t scales_at(const uint8_t* record, int row4) {
  const uint8_t* at = record + weight_bytes(format) + 4 * row4 * int(sizeof(bfloat16));
  return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(at)), 16));
}

FOLIO_INLINE void add_scaled(int32x4_t dot, float32x4_t scale, const ActivationBlock& x,
                             float* tile) {
  const float32x4_t both = vmulq_f32(scale, vdupq_n_f32(x.scale));
  vst1q_f32(tile, vfmaq_f32(vld1q_f32(tile), vcvtq_f32_s32(dot), both));
}

// How many times 4 rows of w rows of x meet at a time, so that their sums leave registers for the
// operands.
constexpr int vectors_for(int rows) { return rows == 1 ? 8 : rows <= 4 ? 4 : 2; }

template <WeightFormat format>
FOLIO_INLINE void prefetch_record(const uint8_t* panel) {
  constexpr int64_t ahead = 4096;
  for (int64_t line = 0; line < record_bytes(format); line += 64)
    __builtin_prefetch(panel + ahead + line);
}

// 32 rows of w times rows of x, added to the tile: see multiply_blocks in packed_blocks-inl.h.
template <WeightFormat format>
struct ByDots {
  template <int rows>
  FOLIO_DOT FOLIO_INLINE static void add_record(const ActivationBlock* x, const uint8_t* record,
                                                float* tile) {
    constexpr int vectors = vectors_for(rows);
    for (int first = 0; first < block_size / 4; first += vectors) {
      int32x4_t dot[rows][vectors];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) dot[r][v] = vdupq_n_s32(0);
      }
#pragma GCC unroll 1
      for (int k8 = 0; k8 < block_size / 8; ++k8) {
        int8x8_t q[rows];
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) q[r] = vld1_s8(x[r].q + 8 * k8);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          const Weights w = weights_at<format>(record, k8, first + v);
#pragma GCC unroll 8
          for (int r = 0; r < rows; ++r) {
            dot[r][v] = vdotq_lane_s32(dot[r][v], w.even, q[r], 0);
            dot[r][v] = vdotq_lane_s32(dot[r][v], w.odd, q[r], 1);
          }
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const float32x4_t scale = scales_at<format>(record, first + v);
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r)
          add_scaled(dot[r][v], scale, x[r], tile + r * block_size + 4 * (first + v));
      }
    }
  }

  template <int rows>
  FOLIO_DOT static void tile(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                             float* tile) {
    std::memset(tile, 0, rows * block_size * sizeof(float));
    for (int64_t b = 0; b < blocks; ++b, panel += record_bytes(format), x += rows) {
      prefetch_record<format>(panel);
      add_record<rows>(x, panel, tile);
    }
  }
};

// The same by products of 2 rows of x with 2 of w; the last of an odd number meets itself.
template <WeightFormat format>
struct ByMatrices {
  template <int rows>
  FOLIO_MATRIX FOLIO_INLINE static void add_record(const ActivationBlock* x, const uint8_t* record,
                                                   float* tile) {
    constexpr int pairs = (rows + 1) / 2, vectors = vectors_for(rows);
    const auto second = [](int pair) { return 2 * pair + 1 < rows ? 2 * pair + 1 : 2 * pair; };
    for (int first = 0; first < block_size / 4; first += vectors) {
      int32x4_t dot[pairs][vectors][2];
#pragma GCC unroll 8
      for (int p = 0; p < pairs; ++p) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) dot[p][v][0] = dot[p][v][1] = vdupq_n_s32(0);
      }
#pragma GCC unroll 1
      for (int k8 = 0; k8 < block_size / 8; ++k8) {
        int8x16_t q[pairs];
#pragma GCC unroll 8
        for (int p = 0; p < pairs; ++p)
          q[p] = vcombine_s8(vld1_s8(x[2 * p].q + 8 * k8), vld1_s8(x[second(p)].q + 8 * k8));
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          const Weights w = weights_at<format>(record, k8, first + v);
          const auto even = vreinterpretq_s32_s8(w.even), odd = vreinterpretq_s32_s8(w.odd);
          const auto low = vreinterpretq_s8_s32(vzip1q_s32(even, odd));   // 8 k of rows 0 and 1
          const auto high = vreinterpretq_s8_s32(vzip2q_s32(even, odd));  // of rows 2 and 3
#pragma GCC unroll 8
          for (int p = 0; p < pairs; ++p) {
            dot[p][v][0] = vmmlaq_s32(dot[p][v][0], q[p], low);
            dot[p][v][1] = vmmlaq_s32(dot[p][v][1], q[p], high);
          }
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const float32x4_t scale = scales_at<format>(record, first + v);
#pragma GCC unroll 8
        for (int p = 0; p < pairs; ++p) {
          const int32x4_t a = dot[p][v][0], b = dot[p][v][1];
          float* to = tile + 2 * p * block_size + 4 * (first + v);
          add_scaled(vcombine_s32(vget_low_s32(a), vget_low_s32(b)), scale, x[2 * p], to);
          if (2 * p + 1 < rows) {
            add_scaled(vcombine_s32(vget_high_s32(a), vget_high_s32(b)), scale, x[2 * p + 1],
                       to + block_size);
          }
        }
      }
    }
  }

  template <int rows>
  FOLIO_MATRIX static void tile(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                                float* tile) {
    std::memset(tile, 0, rows * block_size * sizeof(float));
    for (int64_t b = 0; b < blocks; ++b, panel += record_bytes(format), x += rows) {
      prefetch_record<format>(panel);
      add_record<rows>(x, panel, tile);
    }
  }
};

template <int... i>
constexpr std::array<DotKernels::Pairs, sizeof...(i)> pairs_tiles(
    std::integer_sequence<int, i...>) {
  return {pairs_tile<i + 1>...};
}
template <class One, class Several, int... i>
constexpr std::array<DotKernels::Blocks, sizeof...(i) + 1> blocks_tiles(
    std::integer_sequence<int, i...>) {
  return {One::template tile<1>, Several::template tile<i + 2>...};
}

constexpr auto bf16_tiles = pairs_tiles(std::make_integer_sequence<int, DotKernels::max_rows>());
template <WeightFormat format, template <WeightFormat> class By>
constexpr auto tiles = blocks_tiles<ByDots<format>, By<format>>(
    std::make_integer_sequence<int, DotKernels::max_rows - 1>());

}  // namespace

DotKernels arm64_dot_kernels() {
  DotKernels kernels;
  const unsigned long have = getauxval(AT_HWCAP), have_too = getauxval(AT_HWCAP2);
  if (have_too & HWCAP2_BF16) kernels.bf16 = bf16_tiles.data();
  if (have & HWCAP_ASIMDDP) {
    const bool matrices = have_too & HWCAP2_I8MM;
    kernels.int8 =
        (matrices ? tiles<WeightFormat::int8, ByMatrices> : tiles<WeightFormat::int8, ByDots>)
            .data();
    kernels.int4 =
        (matrices ? tiles<WeightFormat::int4, ByMatrices> : tiles<WeightFormat::int4, ByDots>)
            .data();
  }
  return kernels;
}

}  // namespace folio

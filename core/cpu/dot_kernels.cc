#include "core/cpu/dot_kernels.h"

#include <atomic>
#include <utility>

#if defined(__x86_64__)
#include <cstring>

#include "core/cpu/avx2/dot_kernels.h"
#include "core/cpu/machine/capability.h"
#include "core/cpu/machine/x86_intrinsics.h"
#include "core/cpu/packed_tile.h"
#elif defined(__aarch64__)
#include "core/cpu/arm64/dot_kernels.h"
#endif

namespace folio {
namespace {

std::atomic<bool> in_use = true;
constexpr DotKernels none;

#if defined(__x86_64__)

#define FOLIO_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define FOLIO_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

// See multiply_pairs in packed_pairs-inl.h.
template <int rows>
FOLIO_BF16 void pairs_tile(const uint32_t* x, const uint32_t* panel, int64_t pairs, float* tile) {
  __m512 sum[rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (int64_t k0 = 0; k0 < pairs; k0 += block_k, x += rows * stride_k) {
    const int64_t count = pairs - k0 < block_k ? pairs - k0 : block_k;
    for (int64_t k = 0; k < count; ++k, panel += 32) {
      _mm_prefetch(panel + 16 * 32, _MM_HINT_T0);
      _mm_prefetch(panel + 16 * 32 + 16, _MM_HINT_T0);
      const auto w0 = (__m512bh)_mm512_load_si512(panel);
      const auto w1 = (__m512bh)_mm512_load_si512(panel + 16);
#pragma GCC unroll 16
      for (int r = 0; r < rows; ++r) {
        const auto pair = (__m512bh)_mm512_set1_epi32(int(x[r * stride_k + k]));
        sum[r][0] = _mm512_dpbf16_ps(sum[r][0], pair, w0);
        sum[r][1] = _mm512_dpbf16_ps(sum[r][1], pair, w1);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    _mm512_store_ps(tile + r * 32, sum[r][0]);
    _mm512_store_ps(tile + r * 32 + 16, sum[r][1]);
  }
}

template <int vectors>
FOLIO_BF16 void pairs_product(const DotKernels::PairsProduct& p) {
  constexpr int rows = 8;
  __m512 sum[rows][vectors];
  const uint32_t *a = p.a, *b = p.b;
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] =
          p.accumulate ? _mm512_loadu_ps(p.c + r * p.c_stride + v * 16) : _mm512_setzero_ps();
    }
  }
  for (int64_t k = 0; k < p.pairs; ++k, a += p.a_depth, b += p.b_stride) {
    __m512bh w[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) w[v] = (__m512bh)_mm512_loadu_si512(b + v * 16);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const auto pair = (__m512bh)_mm512_set1_epi32(int(a[r * p.a_row]));
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], pair, w[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(p.c + r * p.c_stride + v * 16, sum[r][v]);
  }
}

FOLIO_VNNI __attribute__((always_inline)) inline __m512i levels_of(__m512i index) {
  const __m128i levels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(int4_levels.data()));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(levels), index);
}

// 16 scales, widened from bf16.
FOLIO_VNNI __attribute__((always_inline)) inline __m512 scales_at(const uint8_t* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// Sums in the type that the instruction works on: GCC 12 would copy __m512i back and forth.
using IntLanes = int __attribute__((vector_size(64)));

// Four k of 32 rows of w, u - 128 of 4 bytes a lane, times those of rows of x.
template <int rows>
FOLIO_VNNI __attribute__((always_inline)) inline void add_four(const ActivationBlock* x, int k4,
                                                               __m512i w0, __m512i w1,
                                                               IntLanes (&dot)[rows][2]) {
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    int four;
    std::memcpy(&four, x[r].q + 4 * k4, sizeof four);
    const __m512i q = _mm512_set1_epi32(four);
    dot[r][0] = (IntLanes)_mm512_dpbusd_epi32((__m512i)dot[r][0], w0, q);
    dot[r][1] = (IntLanes)_mm512_dpbusd_epi32((__m512i)dot[r][1], w1, q);
  }
}

// 32 rows of w times rows of x, added to the tile: see multiply_blocks in packed_blocks-inl.h.
template <int rows, WeightFormat format>
FOLIO_VNNI __attribute__((always_inline)) inline void add_record(const ActivationBlock* x,
                                                                 const uint8_t* record,
                                                                 float* tile) {
  IntLanes dot[rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) dot[r][0] = dot[r][1] = (IntLanes)_mm512_set1_epi32(x[r].offset);
  const uint8_t* w = record;
  if constexpr (format == WeightFormat::int8) {
#pragma GCC unroll 1
    for (int k4 = 0; k4 < 8; ++k4, w += 128) {
      add_four<rows>(x, k4, _mm512_loadu_si512(w), _mm512_loadu_si512(w + 64), dot);
    }
  } else {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 1
    for (int k8 = 0; k8 < 4; ++k8, w += 128) {
      const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + 64);
      add_four<rows>(x, 2 * k8, levels_of(_mm512_and_si512(a, low)),
                     levels_of(_mm512_and_si512(b, low)), dot);
      add_four<rows>(x, 2 * k8 + 1, levels_of(_mm512_and_si512(_mm512_srli_epi16(a, 4), low)),
                     levels_of(_mm512_and_si512(_mm512_srli_epi16(b, 4), low)), dot);
    }
  }
  const __m512 scale0 = scales_at(w), scale1 = scales_at(w + 32);
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r, tile += 32) {
    const __m512 scale = _mm512_set1_ps(x[r].scale);
    _mm512_store_ps(tile, _mm512_fmadd_ps(_mm512_cvtepi32_ps((__m512i)dot[r][0]),
                                          _mm512_mul_ps(scale0, scale), _mm512_load_ps(tile)));
    _mm512_store_ps(tile + 16,
                    _mm512_fmadd_ps(_mm512_cvtepi32_ps((__m512i)dot[r][1]),
                                    _mm512_mul_ps(scale1, scale), _mm512_load_ps(tile + 16)));
  }
}

template <int rows, WeightFormat format>
FOLIO_VNNI void blocks_tile(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                            float* tile) {
  constexpr int64_t record = record_bytes(format), ahead = 4096;
  std::memset(tile, 0, rows * 32 * sizeof(float));
  for (int64_t b = 0; b < blocks; ++b, panel += record, x += rows) {
    for (int64_t line = 0; line < record; line += 64)
      _mm_prefetch(panel + ahead + line, _MM_HINT_T0);
    // More rows than this leave no register for the tile: or the dots would be spilled.
    if constexpr (rows > 6) asm volatile("" : : : "memory");
    add_record<rows, format>(x, panel, tile);
  }
}

template <int... i>
constexpr std::array<DotKernels::Pairs, sizeof...(i)> pairs_tiles(
    std::integer_sequence<int, i...>) {
  return {pairs_tile<i + 1>...};
}
template <WeightFormat format, int... i>
constexpr std::array<DotKernels::Blocks, sizeof...(i)> blocks_tiles(
    std::integer_sequence<int, i...>) {
  return {blocks_tile<i + 1, format>...};
}

constexpr std::make_integer_sequence<int, DotKernels::max_rows> row_counts;
constexpr auto bf16_tiles = pairs_tiles(row_counts);
constexpr auto int8_tiles = blocks_tiles<WeightFormat::int8>(row_counts);
constexpr auto int4_tiles = blocks_tiles<WeightFormat::int4>(row_counts);

DotKernels detect() {
  DotKernels kernels;
  if (may_use_avx2()) add_avx2_dot_kernels(kernels, may_use_avx_vnni());
  if (may_use_avx512_bf16()) {
    kernels.bf16 = bf16_tiles.data();
    kernels.product_16 = pairs_product<1>;
    kernels.product_32 = pairs_product<2>;
  }
  if (may_use_avx512_vnni()) {
    kernels.int8 = int8_tiles.data();
    kernels.int4 = int4_tiles.data();
  }
  return kernels;
}

#elif defined(__aarch64__)

DotKernels detect() { return arm64_dot_kernels(); }

#else

DotKernels detect() { return {}; }

#endif

}  // namespace

const DotKernels& dot_kernels() {
  static const DotKernels detected = detect();
  return in_use ? detected : none;
}

void use_dot_kernels(bool use) { in_use = use; }

}  // namespace folio

#include "core/cpu/avx2/dot_kernels.h"

#if defined(__x86_64__)
#include <array>
#include <cstring>
#include <utility>

#include "core/cpu/machine/x86_intrinsics.h"

namespace folio {
namespace {

#define FOLIO_AVX2 __attribute__((target("avx2,fma")))
#define FOLIO_AVX_VNNI __attribute__((target("avx2,fma,avxvnni")))
#define FOLIO_INLINE __attribute__((always_inline)) inline

// A record's 32 rows of w are four vectors of 8 rows, u - 128 of 4 k a lane (packed_blocks.h).
constexpr int lanes = 8, lane_bytes = 4;
constexpr int64_t vector_bytes = lanes * lane_bytes, four_k_bytes = block_size * lane_bytes;

FOLIO_AVX2 FOLIO_INLINE __m256i vector_at(const uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// The weights u of 8 k of 8 rows: of the first four k, and of the others.
struct Weights {
  __m256i first, second;
};
template <WeightFormat format>
FOLIO_AVX2 FOLIO_INLINE Weights weights_at(const uint8_t* record, int k8, int vector) {
  if constexpr (format == WeightFormat::int8) {
    const uint8_t* from = record + 2 * k8 * four_k_bytes + vector * vector_bytes;
    return {vector_at(from), vector_at(from + four_k_bytes)};
  } else {
    const __m256i two = vector_at(record + k8 * four_k_bytes + vector * vector_bytes);
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i levels = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(int4_levels.data())));
    return {_mm256_shuffle_epi8(levels, _mm256_and_si256(two, low)),
            _mm256_shuffle_epi8(levels, _mm256_and_si256(_mm256_srli_epi16(two, 4), low))};
  }
}

// Four k of a row of x in every lane.
FOLIO_AVX2 FOLIO_INLINE __m256i four_at(const int8_t* q) {
  int four;
  std::memcpy(&four, q, sizeof four);
  return _mm256_set1_epi32(four);
}

// tile += dots times both scales, for 8 rows of w.
template <WeightFormat format>
FOLIO_AVX2 FOLIO_INLINE void add_scaled(__m256i dot, const uint8_t* record, int vector,
                                        const ActivationBlock& x, float* tile) {
  const uint8_t* at = record + weight_bytes(format) + vector * lanes * 2;
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));  // of bf16
  const __m256 scale = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale));
  float* to = tile + vector * lanes;
  _mm256_store_ps(to, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), both, _mm256_load_ps(to)));
}

template <WeightFormat format>
FOLIO_INLINE void prefetch_record(const uint8_t* panel) {
  constexpr int64_t ahead = 4096;
  for (int64_t line = 0; line < record_bytes(format); line += 64)
    _mm_prefetch(panel + ahead + line, _MM_HINT_T0);
}

// A record times `rows` rows of x, added to the tile: see multiply_blocks in packed_blocks-inl.h.
// AVX2 has no exact sum of four products of bytes: even and odd k are widened to 16 bits and
// multiplied in pairs.
template <WeightFormat format>
struct ByPairs {
  static constexpr int most_rows = 3;  // whose sums and operands fit 16 registers

  template <int rows>
  FOLIO_AVX2 FOLIO_INLINE static void add_record(const ActivationBlock* x, const uint8_t* record,
                                                 float* tile) {
    constexpr int vectors = rows == 1 ? 4 : 2;
    const __m256i low_byte = _mm256_set1_epi16(255);
    for (int v0 = 0; v0 < block_size / lanes; v0 += vectors) {
      __m256i dot[rows][vectors];
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) dot[r][v] = _mm256_set1_epi32(x[r].offset);
      }
#pragma GCC unroll 1
      for (int k8 = 0; k8 < block_size / 8; ++k8) {
        __m256i even[rows][2], odd[rows][2];
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 2
          for (int half = 0; half < 2; ++half) {
            const __m256i q = four_at(x[r].q + 8 * k8 + 4 * half);
            even[r][half] = _mm256_srai_epi16(_mm256_slli_epi16(q, 8), 8);
            odd[r][half] = _mm256_srai_epi16(q, 8);
          }
        }
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
          const Weights w = weights_at<format>(record, k8, v0 + v);
#pragma GCC unroll 2
          for (int half = 0; half < 2; ++half) {
            const __m256i u = half == 0 ? w.first : w.second;
            const __m256i u_even = _mm256_and_si256(u, low_byte), u_odd = _mm256_srli_epi16(u, 8);
#pragma GCC unroll 4
            for (int r = 0; r < rows; ++r) {
              const __m256i sums = _mm256_add_epi32(_mm256_madd_epi16(u_even, even[r][half]),
                                                    _mm256_madd_epi16(u_odd, odd[r][half]));
              dot[r][v] = _mm256_add_epi32(dot[r][v], sums);
            }
          }
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
          add_scaled<format>(dot[r][v], record, v0 + v, x[r], tile + r * block_size);
      }
    }
  }

  template <int rows>
  FOLIO_AVX2 static void tile(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                              float* tile) {
    std::memset(tile, 0, rows * block_size * sizeof(float));
    for (int64_t b = 0; b < blocks; ++b, panel += record_bytes(format), x += rows) {
      prefetch_record<format>(panel);
      constexpr int whole = rows / most_rows * most_rows;
#pragma GCC unroll 1
      for (int r = 0; r < whole; r += most_rows)
        add_record<most_rows>(x + r, panel, tile + r * block_size);
      if constexpr (whole < rows)
        add_record<rows - whole>(x + whole, panel, tile + whole * block_size);
    }
  }
};

// The same by AVX-VNNI's sums of four products of bytes.
template <WeightFormat format>
struct ByBytes {
  static constexpr int most_rows = 6;

  template <int rows>
  FOLIO_AVX_VNNI FOLIO_INLINE static void add_record(const ActivationBlock* x,
                                                     const uint8_t* record, float* tile) {
    constexpr int vectors = rows <= 3 ? 4 : 2;
    for (int v0 = 0; v0 < block_size / lanes; v0 += vectors) {
      __m256i dot[rows][vectors];
#pragma GCC unroll 6
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) dot[r][v] = _mm256_set1_epi32(x[r].offset);
      }
#pragma GCC unroll 1
      for (int k8 = 0; k8 < block_size / 8; ++k8) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
          const Weights w = weights_at<format>(record, k8, v0 + v);
#pragma GCC unroll 6
          for (int r = 0; r < rows; ++r) {
            const int8_t* q = x[r].q + 8 * k8;
            dot[r][v] = _mm256_dpbusd_avx_epi32(dot[r][v], w.first, four_at(q));
            dot[r][v] = _mm256_dpbusd_avx_epi32(dot[r][v], w.second, four_at(q + 4));
          }
        }
      }
#pragma GCC unroll 6
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
          add_scaled<format>(dot[r][v], record, v0 + v, x[r], tile + r * block_size);
      }
    }
  }

  template <int rows>
  FOLIO_AVX_VNNI static void tile(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                                  float* tile) {
    std::memset(tile, 0, rows * block_size * sizeof(float));
    for (int64_t b = 0; b < blocks; ++b, panel += record_bytes(format), x += rows) {
      prefetch_record<format>(panel);
      constexpr int whole = rows / most_rows * most_rows;
#pragma GCC unroll 1
      for (int r = 0; r < whole; r += most_rows)
        add_record<most_rows>(x + r, panel, tile + r * block_size);
      if constexpr (whole < rows)
        add_record<rows - whole>(x + whole, panel, tile + whole * block_size);
    }
  }
};

template <class By, int... i>
constexpr std::array<DotKernels::Blocks, sizeof...(i)> tiles_of(std::integer_sequence<int, i...>) {
  return {By::template tile<i + 1>...};
}
template <WeightFormat format, template <WeightFormat> class By>
constexpr auto tiles =
    tiles_of<By<format>>(std::make_integer_sequence<int, DotKernels::max_rows>());

}  // namespace

void add_avx2_dot_kernels(DotKernels& kernels, bool by_bytes) {
  constexpr auto int8 = WeightFormat::int8, int4 = WeightFormat::int4;
  kernels.int8 = (by_bytes ? tiles<int8, ByBytes> : tiles<int8, ByPairs>).data();
  kernels.int4 = (by_bytes ? tiles<int4, ByBytes> : tiles<int4, ByPairs>).data();
}

}  // namespace folio
#endif

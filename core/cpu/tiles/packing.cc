#include "core/cpu/tiles/packing.h"

#include <algorithm>
#include <atomic>

#include "core/cpu/tiles/tile_unit.h"

#if defined(__x86_64__)
#include "core/cpu/machine/capability.h"
#include "core/cpu/machine/x86_intrinsics.h"
#endif

namespace folio {
namespace {

// What is packed at a time, as it lies in memory: numbers [rows, 32] with rows `stride` apart.
struct Packers {
  void (*narrow)(const float* from, bfloat16* to);                     // 32 of them
  void (*rows)(const bfloat16* from, int64_t stride, bfloat16* to);    // a [16, 32] -> itself
  void (*rows_of_transpose)(const bfloat16*, int64_t, bfloat16* to);   // a^T [32, 16]
  void (*panel)(const bfloat16* from, int64_t stride, bfloat16* to);   // b [32, 32] -> in pairs
  void (*panel_of_transpose)(const bfloat16*, int64_t, bfloat16* to);  // b^T [32, 32]
};

void narrow(const float* from, bfloat16* to) {
  std::transform(from, from + 32, to, [](float x) { return bfloat16(x); });
}
void rows(const bfloat16* from, int64_t stride, bfloat16* to) {
  for (int64_t i = 0; i < 16; ++i) std::copy_n(from + i * stride, 32, to + i * 32);
}
void rows_of_transpose(const bfloat16* from, int64_t stride, bfloat16* to) {
  for (int64_t i = 0; i < 16; ++i)
    for (int64_t k = 0; k < 32; ++k) to[i * 32 + k] = from[k * stride + i];
}
void panel(const bfloat16* from, int64_t stride, bfloat16* to) {
  for (int64_t k = 0; k < 32; ++k)
    for (int64_t j = 0; j < 32; ++j) to[k / 2 * 64 + j * 2 + k % 2] = from[k * stride + j];
}
void panel_of_transpose(const bfloat16* from, int64_t stride, bfloat16* to) {
  for (int64_t j = 0; j < 32; ++j)
    for (int64_t k = 0; k < 32; ++k) to[k / 2 * 64 + j * 2 + k % 2] = from[j * stride + k];
}
// In plain C++, for tests and processors without these vectors.
constexpr Packers plain{&narrow, &rows, &rows_of_transpose, &panel, &panel_of_transpose};

#if defined(__x86_64__)
namespace avx512 {

#define FOLIO_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

FOLIO_AVX512 void narrow(const float* from, bfloat16* to) {
  const auto both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
  _mm512_storeu_si512(to, (__m512i)both);
}

FOLIO_AVX512 void rows(const bfloat16* from, int64_t stride, bfloat16* to) {
#pragma GCC unroll 16
  for (int64_t i = 0; i < 16; ++i)
    _mm512_storeu_si512(to + i * 32, _mm512_loadu_si512(from + i * stride));
}

// 16 bytes from each of four places, which the load ports put together.
FOLIO_AVX512 __attribute__((always_inline)) inline __m512i four_lanes(const bfloat16* from,
                                                                      int64_t step) {
  const auto at = [&](int64_t i)
      __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), always_inline)) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * step));
  };
  __m512i x = _mm512_castsi128_si512(at(0));
  x = _mm512_mask_broadcast_i32x4(x, 0x00f0, at(1));
  x = _mm512_mask_broadcast_i32x4(x, 0x0f00, at(2));
  return _mm512_mask_broadcast_i32x4(x, 0xf000, at(3));
}

// In each lane of 128 bits 8 x 8 numbers are turned over: lane l holds the depth [8 l, 8 l + 8).
FOLIO_AVX512 void rows_of_transpose(const bfloat16* from, int64_t stride, bfloat16* to) {
#pragma GCC unroll 2
  for (int64_t half = 0; half < 2; ++half, from += 8, to += 8 * 32) {
    __m512i x[8], y[8];
#pragma GCC unroll 8
    for (int64_t k = 0; k < 8; ++k) x[k] = four_lanes(from + k * stride, 8 * stride);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      y[2 * k] = _mm512_unpacklo_epi16(x[2 * k], x[2 * k + 1]);
      y[2 * k + 1] = _mm512_unpackhi_epi16(x[2 * k], x[2 * k + 1]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {  // of the first four of the depth, then of the last four
      const int at = k / 2 * 4 + k % 2;
      x[k / 2 * 4 + k % 2 * 2] = _mm512_unpacklo_epi32(y[at], y[at + 2]);
      x[k / 2 * 4 + k % 2 * 2 + 1] = _mm512_unpackhi_epi32(y[at], y[at + 2]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      _mm512_storeu_si512(to + 2 * i * 32, _mm512_unpacklo_epi64(x[i], x[4 + i]));
      _mm512_storeu_si512(to + (2 * i + 1) * 32, _mm512_unpackhi_epi64(x[i], x[4 + i]));
    }
  }
}

FOLIO_AVX512 void panel(const bfloat16* from, int64_t stride, bfloat16* to) {
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
#pragma GCC unroll 4
  for (int64_t k = 0; k < 32; k += 2, to += 64) {
    const __m512i even = _mm512_loadu_si512(from + k * stride);
    const __m512i odd = _mm512_loadu_si512(from + (k + 1) * stride);
    const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi64(low, second, high));
  }
}

// In each lane 4 x 4 pairs are turned over: lane l holds four columns.
FOLIO_AVX512 void panel_of_transpose(const bfloat16* from, int64_t stride, bfloat16* to) {
#pragma GCC unroll 2
  for (int64_t tile = 0; tile < 2; ++tile, from += 16 * stride, to += 32) {
#pragma GCC unroll 4
    for (int64_t q = 0; q < 4; ++q) {
      __m512i x[4], y[4];
#pragma GCC unroll 4
      for (int64_t j = 0; j < 4; ++j) x[j] = four_lanes(from + j * stride + 8 * q, 4 * stride);
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        y[2 * j] = _mm512_unpacklo_epi32(x[2 * j], x[2 * j + 1]);
        y[2 * j + 1] = _mm512_unpackhi_epi32(x[2 * j], x[2 * j + 1]);
      }
#pragma GCC unroll 2
      for (int p = 0; p < 2; ++p) {
        bfloat16* pair = to + (4 * q + 2 * p) * 64;
        _mm512_storeu_si512(pair, _mm512_unpacklo_epi64(y[p], y[2 + p]));
        _mm512_storeu_si512(pair + 64, _mm512_unpackhi_epi64(y[p], y[2 + p]));
      }
    }
  }
}

constexpr Packers packers{&narrow, &rows, &rows_of_transpose, &panel, &panel_of_transpose};

}  // namespace avx512
#endif

std::atomic<bool> in_vectors = true;

const Packers& packers() {
#if defined(__x86_64__)
  static const bool there = may_use_avx512_bf16();
  if (there && in_vectors.load(std::memory_order_relaxed)) return avx512::packers;
#endif
  return plain;
}

// A piece of a matrix as it lies in memory, [rows, columns] of at most [32, 32]: where it is, or,
// where it is f32 or less than [whole_rows, whole_columns], rounded and with zeros after it.
class Piece {
 public:
  Piece(const Packers& use, int64_t whole_rows, int64_t whole_columns)
      : use_(use), whole_rows_(whole_rows), whole_columns_(whole_columns) {}

  void fetch(const Operand& from, int64_t rows, int64_t columns) {
    const bool whole = rows == whole_rows_ && columns == whole_columns_;
    if (whole && from.dtype == DType::bf16) {
      data = static_cast<const bfloat16*>(from.data);
      stride = from.stride;
      return;
    }
    data = copy_;
    stride = 32;
    for (int64_t i = 0; i < whole_rows_; ++i) {
      bfloat16* to = copy_ + i * 32;
      if (i >= rows) {
        std::fill_n(to, 32, bfloat16());
      } else if (from.dtype == DType::bf16) {
        const auto* row = static_cast<const bfloat16*>(from.data) + i * from.stride;
        std::fill(std::copy_n(row, columns, to), to + 32, bfloat16());
      } else {
        const auto* row = static_cast<const float*>(from.data) + i * from.stride;
        if (columns < 32) {
          std::fill(std::copy_n(row, columns, wide_), wide_ + 32, 0.0f);
          row = wide_;
        }
        use_.narrow(row, to);
      }
    }
  }

  const bfloat16* data = nullptr;
  int64_t stride = 0;

 private:
  const Packers& use_;
  int64_t whole_rows_, whole_columns_;
  alignas(64) bfloat16 copy_[32 * 32];
  alignas(64) float wide_[32];
};

}  // namespace

void pack_row_tile(const Operand& a, int64_t rows, int64_t depth, bfloat16* to) {
  const Packers& use = packers();
  Piece piece(use, a.transposed ? 32 : 16, a.transposed ? 16 : 32);
  for (int64_t k = 0; k < depth; k += tile_depth, to += tile_rows * tile_depth) {
    const int64_t deep = std::min(tile_depth, depth - k);
    if (a.transposed) {
      piece.fetch(a.at(0, k), deep, rows);
      use.rows_of_transpose(piece.data, piece.stride, to);
    } else {
      piece.fetch(a.at(0, k), rows, deep);
      use.rows(piece.data, piece.stride, to);
    }
  }
}

void pack_panel(const Operand& b, int64_t depth, int64_t columns, bfloat16* to) {
  const Packers& use = packers();
  Piece piece(use, 32, 32);
  for (int64_t k = 0; k < depth; k += tile_depth, to += tile_depth * panel_columns) {
    const int64_t deep = std::min(tile_depth, depth - k);
    if (b.transposed) {
      piece.fetch(b.at(k, 0), columns, deep);
      use.panel_of_transpose(piece.data, piece.stride, to);
    } else {
      piece.fetch(b.at(k, 0), deep, columns);
      use.panel(piece.data, piece.stride, to);
    }
  }
}

void use_vector_packing(bool use) { in_vectors = use; }

}  // namespace folio

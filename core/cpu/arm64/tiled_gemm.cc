#include "core/cpu/arm64/tiled_gemm.h"

#include "core/cpu/arm64/bf16_tile.h"
#include "core/cpu/arm64/f32_tile.h"
#include "core/cpu/dot_kernels.h"
#include "core/cpu/scratch.h"

namespace folio {
namespace {

constexpr int64_t block_rows = 256;  // of a: with a tile's depth 256 KiB, for the second cache

constexpr int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// c [rows, cols] at an edge, of a whole tile's sums.
template <class Tile>
void multiply_edge(const typename Tile::Element* a, const typename Tile::Element* b, int64_t depth,
                   float* c, int64_t ldc, int64_t rows, int64_t cols, bool accumulate) {
  float tile[Tile::rows * Tile::cols];
  Tile::multiply(a, b, depth, tile, Tile::cols, false);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j)
      c[r * ldc + j] = tile[r * Tile::cols + j] + (accumulate ? c[r * ldc + j] : 0);
  }
}

// A block of a [m, depth] is packed whole and stays in the second cache, while a tile's columns of
// b at a time are packed into the first and meet all of it.
template <class Tile>
void multiply_block(int64_t m, int64_t n, int64_t depth, const Operand& a, const Operand& b,
                    float* c, int64_t ldc, bool accumulate, typename Tile::Element* packed_a,
                    typename Tile::Element* packed_b) {
  const int64_t step = round_up(depth, Tile::group);
  for (int64_t i = 0; i < m; i += Tile::rows) {
    Tile::template pack<Tile::rows>(a.at(i, 0), a.transposed, std::min(Tile::rows, m - i), depth,
                                    packed_a + i * step);
  }
  for (int64_t j = 0; j < n; j += Tile::cols) {
    const int64_t cols = std::min(Tile::cols, n - j);
    Tile::template pack<Tile::cols>(b.at(0, j), !b.transposed, cols, depth, packed_b);
    for (int64_t i = 0; i < m; i += Tile::rows) {
      const int64_t rows = std::min(Tile::rows, m - i);
      float* to = c + i * ldc + j;
      if (rows == Tile::rows && cols == Tile::cols) {
        Tile::multiply(packed_a + i * step, packed_b, depth, to, ldc, accumulate);
      } else {
        multiply_edge<Tile>(packed_a + i * step, packed_b, depth, to, ldc, rows, cols, accumulate);
      }
    }
  }
}

template <class Tile>
void multiply(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, float* c,
              int64_t ldc, bool accumulate) {
  using Element = typename Tile::Element;
  const int64_t depth = std::min(k, Tile::block_depth), step = round_up(depth, Tile::group);
  const int64_t size_a = round_up(std::min(m, block_rows), Tile::rows) * step;
  const int64_t size_b = Tile::cols * step;
  Scratch scratch(Scratch::bytes_for<Element>(size_a) + Scratch::bytes_for<Element>(size_b));
  auto *packed_a = scratch.take<Element>(size_a), *packed_b = scratch.take<Element>(size_b);
  for (int64_t l = 0; l < k; l += depth) {
    for (int64_t i = 0; i < m; i += block_rows) {
      multiply_block<Tile>(std::min(block_rows, m - i), n, std::min(depth, k - l), a.at(i, l),
                           b.at(l, 0), c + i * ldc, ldc, accumulate || l > 0, packed_a, packed_b);
    }
  }
}

}  // namespace

bool tiled_gemm_of_bf16() { return dot_kernels().bf16 != nullptr; }

void tiled_gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, float* c,
                int64_t ldc, bool accumulate) {
  const bool bf16 = a.dtype == DType::bf16 && b.dtype == DType::bf16 && tiled_gemm_of_bf16();
  (bf16 ? multiply<Bf16Tile> : multiply<HWY_NAMESPACE::F32Tile>)(m, n, k, a, b, c, ldc, accumulate);
}

}  // namespace folio

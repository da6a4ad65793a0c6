#include "core/cpu/gemm.h"

#include "core/backend.h"
#include "core/cpu/arm64/tiled_gemm.h"
#include "core/cpu/epilogue.h"
#include "core/cpu/onednn.h"
#include "core/cpu/scratch.h"
#include "core/cpu/tiles/tile_gemm.h"

namespace folio {
namespace {

#if defined(__aarch64__)
constexpr bool by_own_tiles = true;  // see arm64/tiled_gemm.h
#else
constexpr bool by_own_tiles = false;
#endif

// For gradient checks only: readable, not fast.
void gemm_f64(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, double* c,
              int64_t ldc, bool accumulate) {
  for (int64_t i = 0; i < m; ++i) {
    double* row = c + i * ldc;
    if (!accumulate) std::fill_n(row, n, 0.0);
    for (int64_t l = 0; l < k; ++l) {
      double factor = *static_cast<const double*>(a.at(i, l).data);
      const double* from = static_cast<const double*>(b.at(l, 0).data);
      int64_t step = b.transposed ? b.stride : 1;
      for (int64_t j = 0; j < n; ++j) row[j] += factor * from[j * step];
    }
  }
}

// Elements between two rows of `x` [rows, cols], as it lies in memory, once it is widened.
int64_t widened_stride(const Operand& x, int64_t rows, int64_t cols) {
  return ((x.transposed ? rows : cols) + 15) / 16 * 16;
}

// How many elements `widened` needs.
int64_t widened_size(const Operand& x, int64_t rows, int64_t cols) {
  if (x.dtype != DType::bf16) return 0;
  return (x.transposed ? cols : rows) * widened_stride(x, rows, cols);
}

// `x` [rows, cols] in f32: itself, or widened into `to`.
Operand widened(const Operand& x, int64_t rows, int64_t cols, float* to) {
  if (x.dtype != DType::bf16) return x;
  const int64_t stride = widened_stride(x, rows, cols);
  if (x.transposed) std::swap(rows, cols);
  for (int64_t i = 0; i < rows; ++i)
    widen(static_cast<const bfloat16*>(x.data) + i * x.stride, cols, to + i * stride);
  return {to, DType::f32, stride, x.transposed};
}

void matmul(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, void* c,
            int64_t ldc, bool accumulate) {
  onednn_matmul(
      {m, n, k, a.stride, b.stride, ldc, a.dtype, b.dtype, a.transposed, b.transposed, accumulate},
      a.data, b.data, static_cast<float*>(c));
}

// What multiplies a by b; null where that is no matrix unit.
const TileUnit* tiles_for(const Operand& a, const Operand& b) {
  return a.dtype == DType::bf16 && b.dtype == DType::bf16 ? tile_unit() : nullptr;
}

// About `side` per part: a power of two below 8 parts, a multiple of 8 above.
int64_t parts(int64_t n, int64_t side) {
  int64_t count = (n + side - 1) / side;
  return count <= 8 ? int64_t(std::bit_ceil(uint64_t(count))) : (count + 7) / 8 * 8;
}

int64_t part_size(int64_t n, int64_t parts, int64_t multiple) {
  int64_t size = (n + parts - 1) / parts;
  return std::min(n, (size + multiple - 1) / multiple * multiple);
}

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, void* c, int64_t ldc,
          bool accumulate) {
  if (m == 0 || n == 0) return;
  if (a.dtype == DType::f64 || k == 0) {
    if (a.dtype == DType::f64)
      return gemm_f64(m, n, k, a, b, static_cast<double*>(c), ldc, accumulate);
    for (int64_t i = 0; i < m && !accumulate; ++i)
      std::fill_n(static_cast<float*>(c) + i * ldc, n, 0.0f);
    return;
  }
  if (const TileUnit* unit = tiles_for(a, b))
    return tile_gemm(*unit, m, n, k, a, b, static_cast<float*>(c), ldc, accumulate);
  if constexpr (by_own_tiles)
    return tiled_gemm(m, n, k, a, b, static_cast<float*>(c), ldc, accumulate);
  bool native = a.dtype == b.dtype && (a.dtype == DType::f32 || onednn_prefers_bf16());
  // Of k, so that what is widened, or packed by oneDNN, stays in the cache (f32, 192 x 384 over
  // k = 16384: 140 GFLOP/s whole, 156 in chunks of 2048).
  const int64_t chunk = native ? 2048 : 1024, longest = std::min(chunk, k);
  const int64_t of_a = native ? 0 : widened_size(a, m, longest);
  const int64_t of_b = native ? 0 : widened_size(b, longest, n);
  Scratch scratch(Scratch::bytes_for<float>(of_a) + Scratch::bytes_for<float>(of_b));
  float *wide_a = scratch.take<float>(of_a), *wide_b = scratch.take<float>(of_b);
  for (int64_t l = 0; l < k; l += chunk) {
    int64_t depth = std::min(chunk, k - l);
    Operand left = a.at(0, l), right = b.at(l, 0);
    if (!native) {
      left = widened(left, m, depth, wide_a);
      right = widened(right, depth, n, wide_b);
    }
    matmul(m, n, depth, left, right, c, ldc, accumulate || l > 0);
  }
}

DType gemm_dtype(DType dtype) {
  const bool takes_bf16 =
      tile_unit() || (by_own_tiles ? tiled_gemm_of_bf16() : onednn_prefers_bf16());
  return dtype == DType::bf16 && !takes_bf16 ? DType::f32 : dtype;
}

Array gemm_operand(const Array& x, DType dtype) {
  DType to = gemm_dtype(dtype);
  return x.dtype() == to ? x : backend(x)->elementwise.cast(x, to);
}

Tiling tiling(int64_t m, int64_t n, int threads) {
  const bool few = threads <= few_threads;
  int64_t down = parts(m, few ? 256 : 128), across = parts(n, few ? 1536 : 384);
  const int64_t fewest = few ? 8 : 64;
  auto rows = [&] { return part_size(m, down, 8); };
  auto cols = [&] { return part_size(n, across, 64); };
  while (down * across < fewest && (rows() > 16 || cols() > 64)) {
    if (rows() > 16 && (rows() >= cols() || cols() <= 64))
      down *= 2;
    else
      across *= 2;
  }
  return {std::max<int64_t>(rows(), 1), std::max<int64_t>(cols(), 1)};
}

void parallel_gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, Array& c,
                   bool accumulate) {
  char* base = static_cast<char*>(c.address());
  if (const TileUnit* unit = k > 0 ? tiles_for(a, b) : nullptr)
    return parallel_tile_gemm(*unit, m, n, k, a, b, reinterpret_cast<float*>(base), accumulate);
  int64_t size = int64_t(size_of(c.dtype()));
  for_tiles(m, n, [&](int64_t i, int64_t j, int64_t rows, int64_t cols) {
    gemm(rows, cols, k, a.at(i, 0), b.at(0, j), base + (i * n + j) * size, n, accumulate);
  });
}

}  // namespace folio

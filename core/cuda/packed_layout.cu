#include "core/cuda/packed_layout.h"

#include <limits>
#include <type_traits>

#include "core/cuda/each.h"
#include "core/cuda/kernels/packed/block_product.h"
#include "core/devices/check_packed.h"
#include "core/devices/visit_dtype.h"

namespace folio::cuda {
namespace {

template <class T>
void pack_plain(const T* w, T* to, int64_t N, int64_t K) {
  const int64_t depth = blocks_of(K) * block_size;
  each("pack", blocks_of(N) * block_size * depth, [=] __device__(int64_t i) {
    const int64_t row = i / (depth * panel_rows) * panel_rows + i % panel_rows;
    const int64_t k = i / panel_rows % depth;
    to[i] = row < N && k < K ? w[row * K + k] : T(0);
  });
}

template <class T>
void unpack_plain(const T* from, const int32_t* rows, T* to, int64_t count, int64_t K) {
  const int64_t depth = blocks_of(K) * block_size;
  each("unpack_rows", count * K, [=] __device__(int64_t i) {
    const int64_t row = rows[i / K], k = i % K;
    to[i] = from[(row / panel_rows * depth + k) * panel_rows + row % panel_rows];
  });
}

// Where w[row][k] is, of K blocks.
__device__ int64_t pair_place(int64_t row, int64_t k, int64_t blocks) {
  return (row / panel_rows * blocks + k / block_size) * (panel_rows * block_size) +
         PairProduct::place(int(row % panel_rows), int(k % block_size));
}

template <class W>
void pack_pairs(const W* w, bfloat16* to, int64_t N, int64_t K) {
  const int64_t blocks = blocks_of(K), depth = blocks * block_size;
  each("pack", blocks_of(N) * block_size * depth, [=] __device__(int64_t i) {
    const int64_t row = i / depth, k = i % depth;
    to[pair_place(row, k, blocks)] = bfloat16(row < N && k < K ? float(w[row * K + k]) : 0.0f);
  });
}

void unpack_pairs(const bfloat16* from, const int32_t* rows, float* to, int64_t count, int64_t K) {
  const int64_t blocks = blocks_of(K);
  each("unpack_rows", count * K,
       [=] __device__(int64_t i) { to[i] = from[pair_place(rows[i / K], i % K, blocks)]; });
}

// 32 weights of a row, of which `count` are there, into blocks as core/cpu/quantize-inl.h makes
// them: the same operations in the same order, and none of them fused.
struct WeightBlock {
  const float* w;
  int count;

  __device__ float operator[](int k) const { return k < count ? w[k] : 0.0f; }

  // NaN if any of them is not finite.
  __device__ float largest() const {
    float largest = 0, not_finite = 0;
    for (int k = 0; k < int(block_size); ++k) {
      largest = std::fmax(largest, std::fabs((*this)[k]));
      not_finite = __fadd_rn(not_finite, __fmul_rn((*this)[k], 0.0f));
    }
    return largest + not_finite;
  }
};

// The place of the nearest of int4_values.
__device__ int nearest_level(float x) {
  int place = 0;
#pragma unroll
  for (int i = 1; i < 16; ++i)
    if (x > 0.5f * float(int4_value(i - 1) + int4_value(i))) place = i;
  return place;
}

struct LevelFit {
  float product = 0, square = 0;
  __device__ float explained() const {
    return square > 0 ? __fmul_rn(product, product) / square : 0;
  }
};

__device__ LevelFit fit_levels(const WeightBlock& block, float inverse) {
  float product[4] = {}, square[4] = {};
  for (int k = 0; k < int(block_size); k += 4)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float value = block[k + i];
      const auto level = float(int4_value(nearest_level(__fmul_rn(value, inverse))));
      product[i] = __fadd_rn(product[i], __fmul_rn(level, value));
      square[i] = __fadd_rn(square[i], __fmul_rn(level, level));
    }
  return {(product[0] + product[1]) + (product[2] + product[3]),
          (square[0] + square[1]) + (square[2] + square[3])};
}

__device__ bfloat16 int4_scale(const WeightBlock& block, float largest) {
  bool positive = false;
  for (int k = 0; k < int(block_size); ++k) positive |= block[k] == largest;
  const float extreme = positive ? largest : -largest;
  LevelFit best;
  for (int i = 0; i < 6; ++i) {
    const float end = float(i < 3 ? int4_value(0) : int4_value(15));
    const float stretch = i % 3 == 0 ? 0.85f : i % 3 == 1 ? 0.95f : 1.05f;
    const LevelFit fit = fit_levels(block, end / __fmul_rn(stretch, extreme));
    if (fit.explained() > best.explained()) best = fit;
  }
  return bfloat16(best.product / best.square);
}

template <WeightFormat format>
__device__ bfloat16 scale_of(const WeightBlock& block) {
  const float largest = block.largest();
  if (largest < smallest_block) return {};
  if (largest != largest) return bfloat16(largest);
  if constexpr (format == WeightFormat::int4) return int4_scale(block, largest);
  bfloat16 up;  // the least bf16 that is not below it
  up.bits = uint16_t((std::bit_cast<uint32_t>(largest / 127) + 0xffff) >> 16);
  return up;
}

// Block b of a row, the row'th of a panel, to a record.
template <WeightFormat format>
__device__ void pack_block(const WeightBlock& block, std::byte* record, int row) {
  const bfloat16 scale = scale_of<format>(block);
  const float inverse = float(scale) != 0 ? 1 / float(scale) : 0.0f;
  reinterpret_cast<bfloat16*>(record + weight_bytes(format))[row] = scale;
  auto* words = reinterpret_cast<uint32_t*>(record) + row;
  constexpr int depth = format == WeightFormat::int8 ? 4 : 8;  // k of a word
  for (int k = 0; k < int(block_size); k += depth) {
    uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      const float x = __fmul_rn(block[k + i], inverse);
      if constexpr (format == WeightFormat::int8)
        word |= uint32_t(uint8_t(int(std::rint(x == x ? x : 0.0f)) + 128)) << 8 * i;
      else
        word |= uint32_t(nearest_level(x)) << (i % 4 * 8 + i / 4 * 4);
    }
    words[k / depth * panel_rows] = word;
  }
}

template <WeightFormat format>
void pack_blocks(const float* w, std::byte* to, int64_t N, int64_t K) {
  const int64_t blocks = blocks_of(K);
  each("pack", blocks_of(N) * blocks * panel_rows, [=] __device__(int64_t i) {
    const int64_t panel = i / panel_rows / blocks, k = i / panel_rows % blocks * block_size;
    const int64_t row = panel * panel_rows + i % panel_rows;
    const int64_t count = row < N ? (K - k < block_size ? K - k : block_size) : 0;
    pack_block<format>({w + row * K + k, int(count)}, to + i / panel_rows * record_bytes(format),
                       int(i % panel_rows));
  });
}

template <WeightFormat format>
void unpack_blocks(const std::byte* from, const int32_t* rows, float* to, int64_t count,
                   int64_t K) {
  const int64_t blocks = blocks_of(K);
  each("unpack_rows", count * K, [=] __device__(int64_t i) {
    const int64_t row = rows[i / K], k = i % K;
    const int r = int(row % panel_rows), at = int(k % block_size);
    const std::byte* record =
        from + (row / panel_rows * blocks + k / block_size) * record_bytes(format);
    const auto scale = reinterpret_cast<const bfloat16*>(record + weight_bytes(format))[r];
    constexpr int depth = format == WeightFormat::int8 ? 4 : 8;
    const uint32_t word =
        reinterpret_cast<const uint32_t*>(record)[at / depth * panel_rows + r] >> at % 4 * 8;
    const int value = format == WeightFormat::int8 ? int(word & 255) - 128
                                                   : int4_value(word >> at % depth / 4 * 4 & 15);
    to[i] = float(scale) * float(value);
  });
}

}  // namespace

PackedWeight pack_weight(const Array& w, WeightFormat format) {
  const int64_t N = w.dim(0), K = w.dim(1), panels = blocks_of(N), blocks = blocks_of(K);
  const auto unset = [&](Shape shape, DType dtype) {
    return PackedWeight{Array(shape, dtype, w.device()), N, K, format};
  };
  if (format == WeightFormat::f32) {
    PackedWeight packed = unset({panels, blocks * block_size, block_size}, w.dtype());
    if (w.dtype() == DType::f64)
      pack_plain(w.data<double>(), packed.data.data<double>(), N, K);
    else
      pack_plain(w.data<float>(), packed.data.data<float>(), N, K);
    return packed;
  }
  if (format == WeightFormat::bf16) {
    PackedWeight packed = unset({panels, blocks, block_size * block_size}, DType::bf16);
    if (w.dtype() == DType::bf16)
      pack_pairs(w.data<bfloat16>(), packed.data.data<bfloat16>(), N, K);
    else
      pack_pairs(w.data<float>(), packed.data.data<bfloat16>(), N, K);
    return packed;
  }
  PackedWeight packed = unset(packed_blocks_shape(N, K, format), DType::i8);
  auto* to = static_cast<std::byte*>(packed.data.address());
  if (format == WeightFormat::int8)
    pack_blocks<WeightFormat::int8>(w.data<float>(), to, N, K);
  else
    pack_blocks<WeightFormat::int4>(w.data<float>(), to, N, K);
  return packed;
}

void unpack_rows(const PackedWeight& w, const Array& rows, Array& to) {
  const auto* ids = rows.data<int32_t>();
  const int64_t count = to.rows();
  const auto* bytes = static_cast<const std::byte*>(w.data.address());
  switch (w.format) {
    case WeightFormat::f32:
      return w.data.dtype() == DType::f64
                 ? unpack_plain(w.data.data<double>(), ids, to.data<double>(), count, w.k)
                 : unpack_plain(w.data.data<float>(), ids, to.data<float>(), count, w.k);
    case WeightFormat::bf16:
      return unpack_pairs(w.data.data<bfloat16>(), ids, to.data<float>(), count, w.k);
    case WeightFormat::int8:
      return unpack_blocks<WeightFormat::int8>(bytes, ids, to.data<float>(), count, w.k);
    case WeightFormat::int4:
      return unpack_blocks<WeightFormat::int4>(bytes, ids, to.data<float>(), count, w.k);
  }
}

}  // namespace folio::cuda

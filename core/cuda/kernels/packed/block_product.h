#pragma once
// int8 and int4 among the products of products.h: the layout is packed_blocks.h's.
#include "core/cuda/kernels/packed/products.h"

namespace folio::cuda {

// Four of int4_values as signed bytes.
constexpr uint32_t int4_word(size_t first) {
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i) word |= uint32_t(uint8_t(int4_values[first + i])) << (8 * i);
  return word;
}

// int4_values[index]
__device__ inline int int4_value(int index) {
  constexpr uint32_t a = int4_word(0), b = int4_word(4), c = int4_word(8), d = int4_word(12);
  return int8_t((index < 8 ? index < 4 ? a : b : index < 12 ? c : d) >> index % 4 * 8);
}

// Of eight indices: the values of the four in the lower halves of the bytes, and in the upper.
struct Int4Values {
  uint32_t lower, upper;
};
__device__ inline Int4Values int4_values_at(uint32_t indices) {
  constexpr uint32_t a = int4_word(0), b = int4_word(4), c = int4_word(8), d = int4_word(12);
  const uint32_t places = indices & 0x77777777u;
  // Byte i of the first eight values, or of the last.
  const uint32_t which = 0x32103210u | (indices & 0x88888888u) >> 1;
  const uint32_t first = __byte_perm(__byte_perm(a, b, places), __byte_perm(c, d, places), which);
  const uint32_t last =
      __byte_perm(__byte_perm(a, b, places >> 16), __byte_perm(c, d, places >> 16), which >> 16);
  return {__byte_perm(first, last, 0x6420), __byte_perm(first, last, 0x7531)};
}

// A block of 32 is one instruction, whose sums are exact; times both scales they are added in f32.
// The instruction's k are chosen so that a lane's are 8 t ... 8 t + 7.
template <WeightFormat format>
struct BlockProduct {
  using Sum = float;
  static constexpr int depth = int(block_size);
  static constexpr int ahead = 4, most_groups = 4;
  static constexpr int weight_bytes = int(record_bytes(format));
  static constexpr int x_bytes = group_rows * depth + group_rows * 4;  // q [lane][8], scales [8]
  static constexpr int vectors = format == WeightFormat::int8 ? 2 : 1;
  struct Weights {  // rows 4 g ... 4 g + 3
    uint32_t words[vectors][4];
    uint32_t scales[2];
  };
  struct Unpacked {
    uint32_t at[2][4];
    float scale[4];
  };
  struct Activations {
    uint32_t q[2];  // of row g
    float scale[2];
  };

  __device__ static Weights load(const std::byte* step) {
    const int g = lane_of_warp() / 4, t = lane_of_warp() % 4;
    Weights w;
#pragma unroll
    for (int i = 0; i < vectors; ++i)
      copy_words(w.words[i], step + (t * vectors + i) * panel_rows * 4 + g * 16);
    copy_words(w.scales, step + folio::weight_bytes(format) + g * 8);
    return w;
  }
  __device__ static Unpacked unpacked(const Weights& w) {
    Unpacked out;
#pragma unroll
    for (int row = 0; row < 4; ++row) {
      uint32_t low, high;  // k 8 t ... 8 t + 3, and the next four
      if constexpr (format == WeightFormat::int8) {
        low = w.words[0][row] ^ 0x80808080u;  // u - 128
        high = w.words[vectors - 1][row] ^ 0x80808080u;
      } else {
        const Int4Values values = int4_values_at(w.words[0][row]);
        low = values.lower, high = values.upper;
      }
      out.at[row / 2][row % 2] = low;
      out.at[row / 2][row % 2 + 2] = high;
      const uint32_t pair = w.scales[row / 2];
      out.scale[row] = std::bit_cast<float>(row % 2 ? pair & 0xffff0000u : pair << 16);
    }
    return out;
  }

  // Four lanes have a block of a row of x, and quantise it as core/cpu/quantize-inl.h does.
  template <class X>
  __device__ static Activations read(const Rows<X>& x, int64_t group, int k) {
    constexpr float most = std::numeric_limits<float>::max();
    constexpr float infinity = std::numeric_limits<float>::infinity();
    float values[8];
    read_row(values, x, group * group_rows + lane_of_warp() / 4, k + lane_of_warp() % 4 * 8);
    float largest = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float size = std::fabs(values[i]);
      largest = std::fmax(largest, size <= most ? size : infinity);  // for NaN too
    }
    largest = std::fmax(largest, __shfl_xor_sync(all_lanes, largest, 1));
    largest = std::fmax(largest, __shfl_xor_sync(all_lanes, largest, 2));
    const bool is_finite = largest <= most;
    const bool is_zero = largest < smallest_block;
    const float inverse = is_zero || !is_finite ? 0.0f : 127 / largest;
    Activations a{};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int q = is_finite ? int(std::rint(values[i] * inverse)) : 0;
      a.q[i / 4] |= uint32_t(uint8_t(q)) << (i % 4 * 8);
    }
    const float scale = is_zero     ? 0.0f
                        : is_finite ? largest / 127
                                    : std::numeric_limits<float>::quiet_NaN();
#pragma unroll
    for (int c = 0; c < 2; ++c) a.scale[c] = __shfl_sync(all_lanes, scale, row_of_group(c) * 4);
    return a;
  }
  __device__ static void store(const Activations& a, std::byte* step) {
    const int lane = lane_of_warp();
    store_pack<2>(reinterpret_cast<uint32_t*>(step) + lane * 2, Pack<uint32_t, 2>{a.q[0], a.q[1]});
    if (lane < 4)
      store_pack<2>(reinterpret_cast<float*>(step + group_rows * depth) + lane * 2,
                    Pack<float, 2>{a.scale[0], a.scale[1]});
  }
  __device__ static Activations load_x(const std::byte* step) {
    Activations a;
    copy_words(a.q, step + lane_of_warp() * 8);
    const auto scales = load_pack<2>(reinterpret_cast<const float*>(step + group_rows * depth) +
                                     lane_of_warp() % 4 * 2);
    a.scale[0] = scales.at[0], a.scale[1] = scales.at[1];
    return a;
  }

  __device__ static void multiply(Sums<float>& sums, const Unpacked& w, const Activations& x) {
    // Sums below 2^22 that begin at the bits of 1.5 * 2^23 are, read as a float, that plus the sum:
    // no conversion, which is slower than an addition.
    constexpr float start = 12582912.0f;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      constexpr auto bits = std::bit_cast<int32_t>(start);
      int32_t dots[4] = {bits, bits, bits, bits};
      multiply_add(dots, w.at[i], x.q);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sums.at[i][j] = std::fma(std::bit_cast<float>(dots[j]) - start,
                                 w.scale[2 * i + j / 2] * x.scale[j % 2], sums.at[i][j]);
    }
  }
};

}  // namespace folio::cuda

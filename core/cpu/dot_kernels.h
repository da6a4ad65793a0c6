#pragma once
#include <cstdint>

#include "core/devices/packed_blocks.h"

namespace folio {

// 32 numbers of a row of x: scale * q.
struct ActivationBlock {
  int8_t q[block_size];
  float scale;
  int32_t offset;  // -128 * sum(q): sum((u - 128) q) = sum(u q) + offset
};

// The tiles of packed_gemm.cc by the processor's dot-product instructions, which Debian's Highway
// does not have: AVX512-BF16 and AVX512-VNNI, those of vectors of 8 lanes (avx2/dot_kernels.h), and
// ARM64's (arm64/dot_kernels.h). The portable tiles
// beside them (packed_pairs-inl.h, packed_blocks-inl.h) read the same layouts. Those of the
// quantised formats give the same bits, for a block's dot product is an exact integer in both;
// those of bf16 may differ in the last one.
struct DotKernels {
#if defined(__aarch64__)
  static constexpr int max_rows = 8;
  static constexpr int lanes = 4;  // of f32, in the SIMD target whose tiles of bf16 they replace
#else
  static constexpr int max_rows = 12;
  static constexpr int lanes = 16;
#endif
  // tile [rows, 2 lanes] for Pairs, [rows, 32] for Blocks; rows = index + 1.
  using Pairs = void (*)(const uint32_t* x, const uint32_t* panel, int64_t pairs, float* tile);
  using Blocks = void (*)(const ActivationBlock* x, const uint8_t* panel, int64_t blocks,
                          float* tile);
  // c [8, columns] (+)= a b for attention: a [8, pairs] with rows `a_row` and pairs `a_depth`
  // apart, b [pairs, columns] and c with their strides.
  struct PairsProduct {
    const uint32_t* a;
    int64_t a_row, a_depth;
    const uint32_t* b;
    int64_t b_stride;
    float* c;
    int64_t c_stride, pairs;
    bool accumulate;
  };
  const Pairs* bf16 = nullptr;                        // null: this processor lacks the instruction
  void (*product_16)(const PairsProduct&) = nullptr;  // 16 columns; likewise
  void (*product_32)(const PairsProduct&) = nullptr;
  const Blocks *int8 = nullptr, *int4 = nullptr;
};

// What this processor has.
const DotKernels& dot_kernels();

// For tests: as if it had none.
void use_dot_kernels(bool use);

}  // namespace folio

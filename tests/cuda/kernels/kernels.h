#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"

// Small kernels of the tests' own. Each can be launched with a fault, which the emulator must find.
// Pointers are the device's.
namespace folio {

enum class Fault {
  none,
  missing_barrier,          // between the warps' sums, or before a buffer is filled again
  missing_warp_barrier,     // between a lane's write and another's read
  racing_sum,               // every thread adds to the same number
  past_the_end,             // by one element
  missing_lanes,            // odd lanes take no part in a shuffle
  other_mask,               // half of a warp says that it is alone
  other_step,               // half of a warp votes while the other half shuffles
  absent_source,            // a lane reads one that is not in the mask
  unreached_barrier,        // by the last warp
  misaligned,               // a vector of four floats at an odd one
  missing_copy_wait,        // for the copies to shared memory
  missing_wait,             // of the second block, for the kernel before
  too_much_static_shared,   // more than 48 KB
  too_much_dynamic_shared,  // more than the launch says
};

// sum[block] = the sum of x[block * 256 ...] of x [n].
void block_sums(const float* x, int n, float* sums, Fault fault, cudaStream_t stream);
// y [columns, rows] = the transpose of x [rows, columns].
void transposed(const float* x, int rows, int columns, float* y, cudaStream_t stream);
// y[i] = x[i ^ 31] of 32 n elements, through shared memory.
void reversed_in_warps(const float* x, int n, float* y, Fault fault, cudaStream_t stream);
// y[i] = x[4 i] + ... + x[4 i + 3] of x [4 n].
void sums_of_four(const float* x, int n, float* y, Fault fault, cudaStream_t stream);
// *sum += x[0] + ... + x[n - 1].
void sum_all(const float* x, int n, float* sum, Fault fault, cudaStream_t stream);
// 64 threads that meet, or do not: y[i] = x[i ^ 1].
void exchanged(const float* x, float* y, Fault fault, cudaStream_t stream);
// Touches more shared memory than a block has.
void use_shared(float* y, Fault fault, cudaStream_t stream);

// pairs[i] = x[2 i] and x[2 i + 1] in bf16 of x [2 n], the first in the lower half.
void packed_pairs(const float* x, int n, uint32_t* pairs, cudaStream_t stream);
// y[i] = 2^x[i], as ptx.h's exp2_fast has it.
void powers_of_two(const float* x, int n, float* y, cudaStream_t stream);

// c [M, N] = a [M, K] b [N, K]^T, f32 of bf16. M, N and K are multiples of 32, 16 and 16.
void product(const bfloat16* a, const bfloat16* b, float* c, int M, int N, int K,
             cudaStream_t stream);
// The same in integers; M, N and K are multiples of 16, 8 and 32.
void integer_product(const int8_t* a, const int8_t* b, int32_t* c, int M, int N, int K,
                     cudaStream_t stream);
// c [M, N] = a [M, K] b [K, N], through two buffers in shared memory, one of which is filled while
// the other is multiplied.
void buffered_product(const bfloat16* a, const bfloat16* b, float* c, int M, int N, int K,
                      Fault fault, cudaStream_t stream);

}  // namespace folio

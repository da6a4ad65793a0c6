#pragma once
// The instructions that CUDA C++ has no name for, each as one function; beside it, what the
// emulator does in its place. "PTX ISA" is the manual that defines them.
#include <bit>
#include <cstdint>

#include "core/bfloat16.h"
#include "core/cuda/gpu.h"

namespace folio::cuda {

// Two bf16 in a register, `low` in the lower half; rounded to nearest even.
__device__ inline uint32_t pack_bf16(float low, float high) {
#if defined(CUDA_EMULATOR)
  return uint32_t(bfloat16(high).bits) << 16 | bfloat16(low).bits;
#else
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#endif
}

// Returns that many nanoseconds later; at once in the emulator, which has no clock.
__device__ inline void pause([[maybe_unused]] uint64_t nanoseconds) {
#if !defined(CUDA_EMULATOR)
  uint64_t start, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
  do {
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  } while (now - start < nanoseconds);
#endif
}

// The first thing in a kernel of launch_early: waits until the kernel before it in the stream has
// ended, all that it wrote is seen, and the one after it may start. What comes before this may only
// prefetch (PTX ISA, griddepcontrol).
__device__ inline void after_previous_kernel() {
#if defined(CUDA_EMULATOR)
  emulator::after_previous_kernel();
#elif __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Begins to bring what lies around `at` into the GPU's second cache.
__device__ inline void prefetch([[maybe_unused]] const void* at) {
#if !defined(CUDA_EMULATOR)
  asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
#endif
}

// 2^x, within 2 ulp.
__device__ inline float exp2_fast(float x) {
#if defined(CUDA_EMULATOR)
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// d += a b of a whole warp, for a [16, 16], b [16, 8] and d [16, 8]. With g = lane / 4 and
// t = lane % 4 * 2, a lane holds
//   a: a[g][t, t + 1], a[g + 8][t, t + 1], a[g][t + 8, t + 9], a[g + 8][t + 8, t + 9]
//   b: b[t, t + 1][g], b[t + 8, t + 9][g]
//   d: d[g][t], d[g][t + 1], d[g + 8][t], d[g + 8][t + 1]
// (PTX ISA, mma.m16n8k16 with .bf16).
__device__ inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(CUDA_EMULATOR)
  emulator::mma_bf16(d, a, b);
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// d += a b of a whole warp in integers, for a [16, 32], b [32, 8] and d [16, 8]. With g = lane / 4
// and t = lane % 4 * 4, a lane holds four signed bytes a register, the first in the lowest:
//   a: a[g][t ... t + 3], a[g + 8][t ...], a[g][t + 16 ...], a[g + 8][t + 16 ...]
//   b: b[t ... t + 3][g], b[t + 16 ...][g]
//   d: as above
// (PTX ISA, mma.m16n8k32 with .s8).
__device__ inline void multiply_add(int32_t (&d)[4], const uint32_t (&a)[4],
                                    const uint32_t (&b)[2]) {
#if defined(CUDA_EMULATOR)
  emulator::mma_s8(d, a, b);
#else
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four matrices of 8 x 8 bf16 from shared memory, by a whole warp. Lane 8 m + i brings the address,
// a multiple of 16, of row i of matrix m; a lane receives in to[m] the elements
// [lane / 4][lane % 4 * 2, + 1] of matrix m, or, if `transposed`, of its transpose (PTX ISA,
// ldmatrix).
template <bool transposed>
__device__ inline void load_matrices(uint32_t (&to)[4], const bfloat16* row) {
#if defined(CUDA_EMULATOR)
  emulator::check_alignment("ldmatrix", row, 16);
  const uint4 words = *reinterpret_cast<const uint4*>(row);
  to[0] = words.x, to[1] = words.y, to[2] = words.z, to[3] = words.w;
  emulator::exchange_matrices(to, transposed);
#else
  const auto address = uint32_t(__cvta_generic_to_shared(row));
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
#endif
}

// Begins to copy 16 bytes from global to shared memory, both 16-byte aligned; zeros, and `from` is
// not read, unless `in_range`. They are there for this thread after wait_for_copies, and for the
// others after a barrier behind that.
__device__ __forceinline__ void copy_async(void* to, const void* from, bool in_range) {
#if defined(CUDA_EMULATOR)
  emulator::check_alignment("cp.async", to, 16);
  emulator::check_alignment("cp.async", from, 16);
  const uint4 source = in_range ? *static_cast<const uint4*>(from) : uint4{};
  *static_cast<uint4*>(to) = {~0u, ~0u, ~0u, ~0u};  // until it is waited for
  emulator::copy_async(to, {source.x, source.y, source.z, source.w});
#else
  const auto address = uint32_t(__cvta_generic_to_shared(to));
  const int bytes = in_range ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes)
               : "memory");
#endif
}

// The copies begun since the last call become a group.
__device__ inline void commit_copies() {
#if defined(CUDA_EMULATOR)
  emulator::commit_copies();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Until all groups of this thread but the `newest` ones are there.
template <int newest>
__device__ inline void wait_for_copies() {
#if defined(CUDA_EMULATOR)
  emulator::wait_for_copies(newest);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(newest) : "memory");
#endif
}

}  // namespace folio::cuda

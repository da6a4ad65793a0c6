#pragma once
#include <cstddef>
#include <cstdint>

// What kernels call, through include/cuda_runtime.h, core/cuda/gpu.h and core/cuda/ptx.h. Each is a
// call of the thread that runs; those of a warp are made by every lane of the mask.
namespace folio::emulator {

void barrier();
void warp_barrier(uint32_t mask);
void after_previous_kernel();

enum class Shuffle { index, up, down, exclusive_or };
uint64_t shuffle(Shuffle how, uint32_t mask, uint64_t value, uint32_t argument, uint32_t width);
uint32_t ballot(uint32_t mask, bool predicate);

// The whole warp's. See core/cuda/ptx.h for what is in the registers.
void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void exchange_matrices(uint32_t (&row)[4], bool transposed);  // row -> what the lane receives

void copy_async(void* to, const uint32_t (&words)[4]);
void commit_copies();
void wait_for_copies(int newest);

void* shared_variable(const void* key, size_t bytes);
void* dynamic_shared(size_t bytes);
void check_alignment(const char* what, const void* address, size_t alignment);

// One address a type.
template <class T>
inline constexpr char key_of = 0;

}  // namespace folio::emulator

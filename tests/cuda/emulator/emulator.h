#pragma once
#include <cstddef>
#include <cstdint>

// A CUDA device that is emulated on the CPU, so that kernels run, and their faults are found, on a
// machine without a GPU. Kernels are compiled as C++ against include/cuda_runtime.h, where the
// calls have CUDA's names and signatures. One block runs at a time, on one processor.
//
// What ends the wait for a kernel with an Error that names the block, the warp and the lanes:
// - a warp's lanes that do not meet: one has ended, calls something else, or gives another mask;
// - __syncthreads() that is not reached by every thread of the block;
// - more shared memory than the device or the launch has.
// What shows as wrong results, for nothing happens sooner than it must:
// - work in a stream waits until somebody waits for it;
// - shared and device memory hold NaN (all bits set) until they are written;
// - what is copied asynchronously into shared memory is NaN until it is waited for;
// - threads run in the order of a Schedule, each until it must wait for others.
// What ends the program: an access to device memory by the host, or past an allocation's end.
namespace folio::emulator {

// The order in which the threads of a block run. Whatever it is, a correct kernel gives the same.
enum class Schedule {
  forward,      // in rounds: warp after warp, lane after lane, each as far as it can
  reverse,      // the same from the last block, warp and lane to the first
  random,       // any thread that can go on; in some blocks a warp goes on for long
  warp_greedy,  // a warp as far as it can before another
};
void use(Schedule schedule, uint64_t seed = 1);  // for the launches that run from now on

// The nth allocation of device memory from now on fails, for want of memory; 0: none does.
void fail_allocation(int nth);

// Other programs take what device memory is free now, or give it back.
void take_free_memory();
void give_back_memory();

// Bytes of device memory that are allocated now.
size_t allocated_memory();

}  // namespace folio::emulator

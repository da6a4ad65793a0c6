#include "core/cuda/kernels/sort.h"

#include <algorithm>

#include "core/cuda/gpu.h"

namespace folio::cuda {
namespace {

// Batcher's bitonic sort of a power of two of keys: pairs of runs become runs of twice the length,
// in steps of half their length, a quarter, and so on to 1. A step orders each key and the one that
// far from it, rising in every other run.
__device__ inline void order(uint64_t* keys, int64_t at, int64_t distance, bool rising) {
  const uint64_t a = keys[at], b = keys[at + distance];
  if ((a > b) == rising) keys[at] = b, keys[at + distance] = a;
}
// The first key of a pair.
__device__ inline int64_t first_of(int64_t pair, int64_t distance) {
  return (pair & ~(distance - 1)) * 2 + (pair & (distance - 1));
}

constexpr int64_t tile = 2048;  // keys that a block sorts at once, two a thread

struct Tile {
  uint64_t keys[tile];
};

// The steps within a tile of the runs of `run`, twice that, and so on to `last` keys.
__global__ void __launch_bounds__(tile / 2)
    sort_tile_kernel(uint64_t* keys, int64_t run, int64_t last) {
  auto& local = shared<Tile>();
  const int64_t threads = blockDim.x, size = 2 * threads, begin = int64_t(blockIdx.x) * size;
  for (int64_t i = threadIdx.x; i < size; i += threads) local.keys[i] = keys[begin + i];
  for (; run <= last; run *= 2)
    for (int64_t distance = (run < size ? run : size) / 2; distance > 0; distance /= 2) {
      __syncthreads();
      const int64_t at = first_of(threadIdx.x, distance);
      order(local.keys, at, distance, ((begin + at) & run) == 0);
    }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < size; i += threads) keys[begin + i] = local.keys[i];
}

// One step of all keys.
__global__ void __launch_bounds__(tile / 2)
    sort_step_kernel(uint64_t* keys, int64_t run, int64_t distance) {
  const int64_t at = first_of(int64_t(blockIdx.x) * blockDim.x + threadIdx.x, distance);
  order(keys, at, distance, (at & run) == 0);
}

}  // namespace

void sort(uint64_t* keys, int64_t size, cudaStream_t stream) {
  if (size == 1) return;
  const int64_t part = std::min(size, tile);
  auto sort_tiles = [&](int64_t run, int64_t last) {
    launch("sort", sort_tile_kernel, {unsigned(size / part), unsigned(part / 2)}, stream, keys, run,
           last);
  };
  sort_tiles(2, part);
  for (int64_t run = 2 * part; run <= size; run *= 2) {
    for (int64_t distance = run / 2; distance >= part; distance /= 2)
      launch("sort", sort_step_kernel, {unsigned(size / part), unsigned(part / 2)}, stream, keys,
             run, distance);
    sort_tiles(run, run);
  }
}

}  // namespace folio::cuda

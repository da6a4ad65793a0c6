#include "core/cuda/kernels/kv_cache/append.h"

#include "core/cuda/kernels/kv_cache/append_row.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {
namespace {

constexpr int append_threads = 128, positions_per_block = 8;
constexpr int copy_threads = 256;

template <class E, class S>
__global__ void __launch_bounds__(append_threads)
    append_kernel(const E* qkv, CachedLayer<S> cache, const int32_t* positions, CachedSizes sizes) {
  after_previous_kernel();
  const AttentionSizes& s = sizes.call;
  const int head = int(blockIdx.x), begin = int(blockIdx.y) * positions_per_block;
  append_rows(key_rows(qkv, s, head), cache.head(head, sizes), sizes, positions[head / s.KV], begin,
              begin + positions_per_block < s.T ? begin + positions_per_block : s.T);
}

// `chunk` pieces of 16 bytes are one.
__global__ void __launch_bounds__(copy_threads)
    copy_kernel(const uint4* from, int from_chunks, uint4* to, int to_chunks, int64_t chunk,
                int first, int64_t n) {
  const int64_t i = int64_t(blockIdx.y) * copy_threads + threadIdx.x;
  if (i >= n) return;
  const int64_t at = first + i / chunk, piece = i % chunk;
  to[(int64_t(blockIdx.x) * to_chunks + at % to_chunks) * chunk + piece] =
      from[(int64_t(blockIdx.x) * from_chunks + at % from_chunks) * chunk + piece];
}

}  // namespace

template <class E, class S>
void append_to_cache(const E* qkv, const CachedLayer<S>& cache, const int32_t* positions,
                     const CachedSizes& sizes, cudaStream_t stream) {
  const AttentionSizes& s = sizes.call;
  launch_early(
      "attention_cached's append", append_kernel<E, S>,
      {dim3(unsigned(s.B * s.KV), unsigned((s.T + positions_per_block - 1) / positions_per_block)),
       append_threads},
      stream, qkv, cache, positions, sizes);
}

void copy_chunks(const void* from, int from_chunks, void* to, int to_chunks, int heads,
                 int64_t chunk_bytes, int first, int count, cudaStream_t stream) {
  const int64_t chunk = chunk_bytes / 16, n = count * chunk;
  if (n == 0 || heads == 0) return;
  launch("copy_kv", copy_kernel,
         {dim3(unsigned(heads), unsigned((n + copy_threads - 1) / copy_threads)), copy_threads},
         stream, static_cast<const uint4*>(from), from_chunks, static_cast<uint4*>(to), to_chunks,
         chunk, first, n);
}

template void append_to_cache(const double*, const CachedLayer<double>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);
template void append_to_cache(const float*, const CachedLayer<float>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);
template void append_to_cache(const float*, const CachedLayer<bfloat16>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);
template void append_to_cache(const float*, const CachedLayer<int8_t>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);
template void append_to_cache(const bfloat16*, const CachedLayer<float>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);
template void append_to_cache(const bfloat16*, const CachedLayer<bfloat16>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);
template void append_to_cache(const bfloat16*, const CachedLayer<int8_t>&, const int32_t*,
                              const CachedSizes&, cudaStream_t);

}  // namespace folio::cuda

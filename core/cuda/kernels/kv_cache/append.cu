#include "core/cuda/kernels/kv_cache/append.h"

#include "core/cuda/kernels/kv_cache/append_row.h"

namespace folio::cuda {
namespace {

constexpr int append_threads = 128, positions_per_block = 8;
constexpr int copy_threads = 256;

template <class E, class S>
__global__ void __launch_bounds__(append_threads)
    append_kernel(const E* qkv, CachedLayer<S> cache, const int32_t* positions, CachedSizes sizes) {
  const AttentionSizes& s = sizes.call;
  const int head = int(blockIdx.x), begin = int(blockIdx.y) * positions_per_block;
  append_rows(head_rows(qkv, s, head, 3), cache.head(head, sizes), s, positions[head / s.H], begin,
              begin + positions_per_block < s.T ? begin + positions_per_block : s.T);
}

__global__ void __launch_bounds__(copy_threads)
    copy_kernel(const uint4* from, int64_t from_stride, uint4* to, int64_t to_stride, int64_t n) {
  const int64_t i = int64_t(blockIdx.y) * copy_threads + threadIdx.x;
  if (i < n) to[blockIdx.x * to_stride + i] = from[blockIdx.x * from_stride + i];
}

}  // namespace

template <class E, class S>
void append_to_cache(const E* qkv, const CachedLayer<S>& cache, const int32_t* positions,
                     const CachedSizes& sizes, cudaStream_t stream) {
  const AttentionSizes& s = sizes.call;
  launch(
      "attention_cached's append", append_kernel<E, S>,
      {dim3(unsigned(s.B * s.H), unsigned((s.T + positions_per_block - 1) / positions_per_block)),
       append_threads},
      stream, qkv, cache, positions, sizes);
}

void copy_heads(const void* from, int64_t from_stride, void* to, int64_t to_stride, int heads,
                int64_t bytes, cudaStream_t stream) {
  const int64_t n = bytes / 16;
  if (n == 0 || heads == 0) return;
  launch("copy_kv", copy_kernel,
         {dim3(unsigned(heads), unsigned((n + copy_threads - 1) / copy_threads)), copy_threads},
         stream, static_cast<const uint4*>(from), from_stride / 16, static_cast<uint4*>(to),
         to_stride / 16, n);
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

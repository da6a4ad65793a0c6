#include "core/cuda/kernels/kv_cache/cached_attention.h"

#include <type_traits>

#include "core/cuda/kernels/attention/attention_head.h"
#include "core/cuda/kernels/attention/attention_tensor.h"
#include "core/cuda/kernels/kv_cache/cached_kernels.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {
namespace {

constexpr int most_merge_threads = 256;

// A query of a head a block, an element of its result a thread.
template <class E, class F>
__global__ void __launch_bounds__(most_merge_threads)
    merge_kernel(Partials<F> partials, const int32_t* positions, E* y, CachedSizes sizes) {
  after_previous_kernel();
  const AttentionSizes& s = sizes.call;
  const int head = int(blockIdx.x) / s.T, query = int(blockIdx.x) % s.T;
  const int position = positions[head / s.H];
  const int first = sizes.first_chunk(position + query) - sizes.first_chunk(position);
  const int past = (position + query) / chunk_keys + 1 - sizes.first_chunk(position);
  const int64_t place = Partials<F>::place(sizes, head, query, first);
  E* to = result_rows(y, s, head) + int64_t(query) * s.C();
  for (int c = int(threadIdx.x); c < s.D; c += int(blockDim.x)) {
    const F *softmax = partials.softmax + 2 * place, *of_chunk = partials.out + place * s.D + c;
    Softmax<F> merged;
    F out = 0;
#pragma unroll 4
    for (int part = first; part < past; ++part, softmax += 2, of_chunk += s.D)
      out = merged.add(softmax[0], softmax[1]).merged(out, *of_chunk);
    to[c] = E(out * (F(1) / merged.sum));
  }
}

template <class E, class F>
void merge_partials(const Partials<F>& partials, const int32_t* positions, E* y,
                    const CachedSizes& sizes, cudaStream_t stream) {
  const AttentionSizes& s = sizes.call;
  const int threads = (s.D + 31) / 32 * 32;
  launch_early("attention_cached's merge", merge_kernel<E, F>,
               {unsigned(s.B * s.H * s.T),
                unsigned(threads < most_merge_threads ? threads : most_merge_threads)},
               stream, partials, positions, y, sizes);
}

}  // namespace

int64_t cached_attention_scratch(const CachedSizes& sizes) {
  const AttentionSizes& s = sizes.call;
  return is_split(sizes) ? int64_t(s.B) * s.H * s.T * sizes.parts() * (s.D + 2) : 0;
}

template <class E, class S, class F>
void cached_attention(const E* qkv, const CachedLayer<S>& cache, const int32_t* positions,
                      F* scratch, E* y, const CachedSizes& sizes, cudaStream_t stream) {
  const CachedCall<E, S, F> call{qkv, y, cache, positions, {scratch, sizes}, sizes};
  constexpr bool has_tensor_path = std::is_same_v<E, bfloat16> && sizeof(S) <= 2;
  if constexpr (has_tensor_path)
    if (runs_on_tensor_cores(sizes.call)) tensor_cached_attention(call, stream);
  if (!has_tensor_path || !runs_on_tensor_cores(sizes.call)) plain_cached_attention(call, stream);
  if (is_split(sizes)) merge_partials(call.partials, positions, y, sizes, stream);
}

template void cached_attention(const double*, const CachedLayer<double>&, const int32_t*, double*,
                               double*, const CachedSizes&, cudaStream_t);
template void cached_attention(const float*, const CachedLayer<float>&, const int32_t*, float*,
                               float*, const CachedSizes&, cudaStream_t);
template void cached_attention(const float*, const CachedLayer<bfloat16>&, const int32_t*, float*,
                               float*, const CachedSizes&, cudaStream_t);
template void cached_attention(const float*, const CachedLayer<int8_t>&, const int32_t*, float*,
                               float*, const CachedSizes&, cudaStream_t);
template void cached_attention(const bfloat16*, const CachedLayer<float>&, const int32_t*, float*,
                               bfloat16*, const CachedSizes&, cudaStream_t);
template void cached_attention(const bfloat16*, const CachedLayer<bfloat16>&, const int32_t*,
                               float*, bfloat16*, const CachedSizes&, cudaStream_t);
template void cached_attention(const bfloat16*, const CachedLayer<int8_t>&, const int32_t*, float*,
                               bfloat16*, const CachedSizes&, cudaStream_t);

}  // namespace folio::cuda

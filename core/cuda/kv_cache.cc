#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/kv_cache/append.h"
#include "core/cuda/kernels/kv_cache/cached_attention.h"
#include "core/cuda/stream.h"
#include "core/devices/check_kv_cache.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::chunk_keys;
using cuda::stream;

int64_t chunks_for(int64_t positions) { return (positions + chunk_keys - 1) / chunk_keys; }

// f(S{}) for what the cache keeps under activations of E.
template <class E, class F>
void visit_cached(DType dtype, F&& f) {
  if constexpr (std::is_same_v<E, double>)
    f(double{});
  else if (dtype == DType::i8)
    f(int8_t{});
  else if (dtype == DType::bf16)
    f(bfloat16{});
  else
    f(float{});
}

// Chunks [first, past) of a sequence of one Array into one of another, whose dimension 1 are the
// heads and 2 the chunks.
void copy_chunks(const Array& from, int64_t from_row, Array& to, int64_t to_row, int64_t first,
                 int64_t past) {
  const Array source = from.slice(from_row, from_row + 1), target = to.slice(to_row, to_row + 1);
  if (source.bytes() == 0 || source.address() == target.address()) return;
  const int64_t H = from.dim(1), chunk = int64_t(source.bytes()) / (H * from.dim(2));
  cuda::copy_chunks(source.address(), int(from.dim(2)), target.address(), int(to.dim(2)), int(H),
                    chunk, int(first), int(past - first), stream());
}

class CudaKvCacheOps final : public KvCacheOps {
 public:
  KvLayer make_layer(int64_t B, int64_t T, const Heads& heads, DType dtype) override {
    check_kv_dtype(dtype);
    const Device device = RunningOn::device().value();
    const int64_t KV = heads.n_kv_head, D = heads.width, capacity = kv_capacity(T, heads);
    const int64_t chunks = chunks_for(capacity);
    const int64_t piece = 16 / int64_t(size_of(dtype)), width = (D + piece - 1) / piece * piece;
    const Shape rows{B, KV, chunks, chunk_keys, width};
    return {Array(rows, dtype, device), Array(rows, dtype, device),
            Array({B, KV, chunks, 2, dtype == DType::i8 ? chunk_keys : 0}, DType::f32, device),
            capacity, heads};
  }

  Array attention(const Array& qkv, const Heads& heads, KvLayer& cache,
                  const Array& positions) override {
    begin_cached_attention(qkv, heads, cache, positions);
    const int64_t B = qkv.dim(0), T = qkv.dim(1);
    const cuda::CachedSizes sizes{{int(B), int(T), int(heads.n_head), int(heads.width),
                                   int(heads.n_kv_head), int(heads.window)},
                                  int(cache.k.dim(2))};
    Array y({B, T, heads.channels()}, qkv.dtype(), qkv.device());
    if (qkv.size() == 0) return y;
    const Array scratch({cuda::cached_attention_scratch(sizes)}, sum_dtype(qkv.dtype()),
                        qkv.device());
    visit_dtype(qkv.dtype(), "attention_cached", [&](auto e) {
      using E = decltype(e);
      using F = SumOf<E>;
      visit_cached<E>(cache.k.dtype(), [&](auto s) {
        using S = decltype(s);
        const cuda::CachedLayer<S> layer{cache.k.data<S>(), cache.v.data<S>(),
                                         cache.scales.data<float>()};
        cuda::cached_attention<E, S, F>(qkv.data<E>(), layer, positions.data<int32_t>(),
                                        scratch.data<F>(), y.data<E>(), sizes, stream());
      });
    });
    return y;
  }

  void copy(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
            int64_t length) override {
    begin_kv_copy(from, from_row, to, to_row, length);
    // Those of which the next query sees keys: a ring has each of them in a place of its own.
    const int64_t first = to.heads.first_seen(length) / chunk_keys, past = chunks_for(length);
    copy_chunks(from.k, from_row, to.k, to_row, first, past);
    copy_chunks(from.v, from_row, to.v, to_row, first, past);
    copy_chunks(from.scales, from_row, to.scales, to_row, first, past);
  }
};

}  // namespace

KvCacheOps& cuda_kv_cache() {
  static auto& operations = *new CudaKvCacheOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

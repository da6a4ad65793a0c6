#pragma once
#include "core/backend.h"

namespace folio {

// What KvCacheOps looks for, on any device.

inline void check_kv_dtype(DType dtype) {
  check(dtype != DType::i32,
        "make_kv_layer: keys and values can be float64, float32, bfloat16 or int8, not {}", dtype);
}

inline std::string described(const Heads& heads) {
  return fmt::format("{} heads of {}, {} of keys, window {}", heads.n_head, heads.width,
                     heads.n_kv_head, heads.window);
}

// Of the positions it looks at Array::id_range alone. Then the cache is about to be written.
inline void begin_cached_attention(const Array& qkv, const Heads& heads, const KvLayer& cache,
                                   const Array& positions) {
  const int64_t B = qkv.dim(0), T = qkv.dim(1);
  check(cache.k.dim(0) == B && positions.size() == B,
        "attention_cached: {} sequences need a cache and positions for as many; the cache holds {} "
        "and {} positions were given",
        B, cache.k.dim(0), positions.size());
  check(cache.heads == heads && qkv.dim(2) == heads.columns(),
        "attention_cached: {} columns for {} do not fit a cache for {}", qkv.dim(2),
        described(heads), described(cache.heads));
  check((qkv.dtype() == DType::f64) == (cache.k.dtype() == DType::f64),
        "attention_cached: {} activations need a cache of their own kind, this one holds {}",
        qkv.dtype(), cache.k.dtype());
  check(positions.id_range().has_value(),
        "attention_cached: nobody has looked at what the {} positions are; make them from the "
        "host's values (to_array)",
        B);
  check(heads.window == 0 || T <= cache.most_new(),
        "attention_cached: {} new positions at once, but a ring of {} positions for a window of {} "
        "takes at most {}",
        T, cache.capacity, heads.window, cache.most_new());
  const bool is_ring = heads.window > 0;
  for (int64_t position : {positions.id_range()->least, positions.id_range()->below - 1})
    check(B == 0 || (position >= 0 && (is_ring || position + T <= cache.capacity)),
          "attention_cached: a sequence has {} positions in the cache and {} new ones, but the "
          "cache holds {}; start it again from a shorter window",
          position, T, cache.capacity);
  for (const Array* part : {&cache.k, &cache.v, &cache.scales})
    part->begin_write("attention_cached");
}

// Then `to` is about to be written.
inline void begin_kv_copy(const KvLayer& from, int64_t from_row, const KvLayer& to, int64_t to_row,
                          int64_t length) {
  check(0 <= from_row && from_row < from.k.dim(0) && 0 <= to_row && to_row < to.k.dim(0),
        "copy_kv: sequence {} of {} into {} of {}", from_row, from.k.dim(0), to_row, to.k.dim(0));
  check(from.heads == to.heads && from.k.dtype() == to.k.dtype(),
        "copy_kv: a cache for {} in {} cannot take from one for {} in {}", described(to.heads),
        to.k.dtype(), described(from.heads), from.k.dtype());
  const bool is_ring = to.heads.window > 0;
  check(0 <= length && (is_ring || length <= std::min(from.capacity, to.capacity)),
        "copy_kv: {} positions; the caches hold {} and {}", length, from.capacity, to.capacity);
  for (const Array* part : {&to.k, &to.v, &to.scales}) part->begin_write("copy_kv");
}

}  // namespace folio

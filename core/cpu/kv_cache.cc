#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/kv_cache.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include <cstring>

#include "core/cpu/attention-inl.h"
#include "core/cpu/cpu_backend.h"
#include "core/cpu/quantize-inl.h"
#include "core/cpu/scratch.h"
#include "core/devices/check_kv_cache.h"
#include "core/parallel.h"

// KvLayer here: k [B, H, T / 64, D, 64], so that the scores of 64 keys are multiply-adds of whole
// vectors, and v [B, H, T, width], with T rounded up to 64 and width to 16. Under int8, scales
// [B, H, T / 64, 2, 64] are those of 64 keys and then of their values. A scale belongs to one
// position, so it leaves both dot products: a key's multiplies its score, a value's its
// probability.
//
// Why a row's bits do not depend on the call that computes it: its scores and its result are chains
// of multiply-adds in the order of the head's elements and of the keys, whatever rows share the
// tile; the softmax walks a row in vectors that start at key 0; and nothing past a row's position
// is added to it, not even times zero.
HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

constexpr int64_t key_block = 64;

// One head of the cache and of the call; qkv and y at the head's first column of its sequence.
template <class E, class S>
struct CachedHead {
  const AttentionShape& s;
  int64_t position;  // of the call's first query
  const E* qkv;
  E* y;
  S *k, *v;
  float* scales;

  int64_t width() const { return round_up(s.D, max_lanes); }
};

template <class E, class S>
void append(const CachedHead<E, S>& head) {
  const int64_t C = head.s.C(), D = head.s.D;
  const E* from = head.qkv + C;
  for (int64_t t = 0; t < head.s.T;) {
    const int64_t at = head.position + t, lane = at % key_block;
    const int64_t n = std::min(head.s.T - t, key_block - lane);
    S* block = head.k + (at - lane) * D + lane;
    for (int64_t c = 0; c < D; ++c) {
      for (int64_t i = 0; i < n; ++i) {
        block[c * key_block + i] = S(Compute<E>(from[(t + i) * 3 * C + c]));
      }
    }
    t += n;
  }
  for (int64_t t = 0; t < head.s.T; ++t) {
    copy_scaled(from + t * 3 * C + C, D, Compute<E>(1),
                head.v + (head.position + t) * head.width());
  }
}

template <class E>
void append(const CachedHead<E, int8_t>& head) {
  const int64_t C = head.s.C(), D = head.s.D, width = head.width();
  Scratch scratch(Scratch::bytes_for<float>(width) + Scratch::bytes_for<int8_t>(width));
  float* values = scratch.take<float>(width);
  int8_t* q = scratch.take<int8_t>(width);
  auto quantized = [&](const E* from, int8_t* to) {
    pack_rows(from, 0, 1, D, 1.0f, values, 1, width);
    return quantize(values, width, to).scale;
  };
  const E* from = head.qkv + C;
  for (int64_t at = head.position; at < head.position + head.s.T; ++at, from += 3 * C) {
    const int64_t lane = at % key_block;
    float* scales = head.scales + 2 * (at - lane) + lane;
    scales[0] = quantized(from, q);
    int8_t* block = head.k + (at - lane) * D + lane;
    for (int64_t c = 0; c < D; ++c) block[c * key_block] = q[c];
    scales[key_block] = quantized(from + C, head.v + at * width);
  }
}

// x[i] *= scale(i) for the first n positions: `scales` at that of position 0.
HWY_INLINE void multiply_scales(const float* scales, int64_t n, float* x) {
  const Lanes<float> d;
  for (int64_t block = 0; block < n; block += key_block) {
    for (int64_t i = block; i < block + key_block; i += int64_t(hn::Lanes(d))) {
      hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, scales + block + i)), d, x + i);
    }
  }
}

// Softmax over keys [0, past) in place, without the division by the sum, which is returned.
template <class F>
F softmax_row(F* scores, int64_t past) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d), whole = round_down(past, lanes);
  const auto inside = hn::FirstN(d, size_t(past - whole));
  auto largest = hn::Set(d, hwy::LowestValue<F>());
  for (int64_t key = 0; key < whole; key += lanes) {
    largest = hn::Max(largest, hn::LoadU(d, scores + key));
  }
  if (whole < past) {
    largest = hn::Max(largest, hn::IfThenElse(inside, hn::LoadU(d, scores + whole), largest));
  }
  largest = hn::MaxOfLanes(d, largest);

  auto sum = hn::Zero(d);
  for (int64_t key = 0; key < past; key += lanes) {
    auto p = exp_negative(d, hn::Sub(hn::LoadU(d, scores + key), largest));
    if (key == whole) p = hn::IfThenElseZero(inside, p);
    sum = hn::Add(sum, p);
    hn::StoreU(p, d, scores + key);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <int rows, class F, class S>
HWY_INLINE void multiply_rows(Broadcast<F> a, const S* b, int64_t b_stride, F* c, int64_t c_stride,
                              int64_t columns, int64_t depth, bool accumulate) {
  if constexpr (rows == 1) {
    multiply<1, 4>(a, b, b_stride, c, c_stride, columns, depth, accumulate);
  } else {
    multiply_8(a, b, b_stride, c, c_stride, columns, depth, accumulate);
  }
}

// The call's queries [t, t + rows).
template <int rows, class E, class S>
void attend_rows(const CachedHead<E, S>& head, int64_t t) {
  using F = Compute<S>;
  constexpr bool quantised = std::is_same_v<S, int8_t>;
  const AttentionShape& s = head.s;
  const int64_t width = head.width(), first = head.position + t;
  const int64_t keys = round_up(first + rows, key_block);
  Scratch scratch(2 * Scratch::bytes_for<F>(rows * width) + Scratch::bytes_for<F>(rows * keys));
  F* q = scratch.take<F>(rows * width);
  F* result = scratch.take<F>(rows * width);
  F* scores = scratch.take<F>(rows * keys);
  pack_rows(head.qkv + t * 3 * s.C(), 3 * s.C(), rows, s.D, s.scale<F>(), q, rows, width);
  for (int64_t key = 0; key < keys; key += key_block) {
    multiply_rows<rows>(Broadcast<F>{q, width, 1}, head.k + key * s.D, key_block, scores + key,
                        keys, key_block, s.D, false);
  }
  F sum[rows];
  for (int64_t r = 0; r < rows; ++r) {
    if constexpr (quantised) multiply_scales(head.scales, keys, scores + r * keys);
    sum[r] = softmax_row(scores + r * keys, first + r + 1);
    if constexpr (quantised) multiply_scales(head.scales + key_block, keys, scores + r * keys);
  }
  multiply_rows<rows>(Broadcast<F>{scores, keys, 1}, head.v, width, result, width, width, first + 1,
                      false);
  for (int64_t r = 1; r < rows; ++r) {  // the keys that the first row does not see
    multiply_rows<1>(Broadcast<F>{scores + r * keys + first + 1, keys, 1},
                     head.v + (first + 1) * width, width, result + r * width, width, width, r,
                     true);
  }
  for (int64_t r = 0; r < rows; ++r) {
    copy_scaled(result + r * width, s.D, F(1) / sum[r], head.y + (t + r) * s.C());
  }
}

template <class E, class S>
void attend(const CachedHead<E, S>& head, int64_t begin, int64_t end) {
  int64_t t = begin;
  for (; t + 8 <= end; t += 8) attend_rows<8>(head, t);
  for (; t < end; ++t) attend_rows<1>(head, t);
}

template <class E, class S>
Array cached_of(const Array& qkv, const AttentionShape& s, KvLayer& cache,
                std::span<const int32_t> positions) {
  Array y({s.B, s.T, s.C()}, qkv.dtype(), qkv.device());
  auto head_at = [&](int64_t i) {
    const int64_t b = i / s.H, h = i % s.H;
    return CachedHead<E, S>{s,
                            positions[size_t(b)],
                            qkv.data<E>() + b * s.T * 3 * s.C() + h * s.D,
                            y.data<E>() + b * s.T * s.C() + h * s.D,
                            cache.k.data<S>() + i * (cache.k.size() / (s.B * s.H)),
                            cache.v.data<S>() + i * (cache.v.size() / (s.B * s.H)),
                            cache.scales.data<float>() + i * (cache.scales.size() / (s.B * s.H))};
  };
  constexpr int64_t block = 32;
  const int64_t heads = s.B * s.H, blocks = (s.T + block - 1) / block;
  if (blocks == 1) {
    parallel_for(heads, [&](int64_t i) {
      append(head_at(i));
      attend(head_at(i), 0, s.T);
    });
    return y;
  }
  parallel_for(heads, [&](int64_t i) { append(head_at(i)); });
  parallel_for(heads * blocks, [&](int64_t i) {
    const int64_t begin = (blocks - 1 - i / heads) * block;  // the longest first
    attend(head_at(i % heads), begin, std::min(s.T, begin + block));
  });
  return y;
}

template <class E>
Array cached_from(const Array& qkv, const AttentionShape& s, KvLayer& cache,
                  std::span<const int32_t> positions) {
  switch (cache.k.dtype()) {
    case DType::i8:
      return cached_of<E, int8_t>(qkv, s, cache, positions);
    case DType::bf16:
      return cached_of<E, bfloat16>(qkv, s, cache, positions);
    default:
      return cached_of<E, float>(qkv, s, cache, positions);
  }
}

Array attention_cached(const Array& qkv, const Heads& heads, KvLayer& cache,
                       std::span<const int32_t> positions) {
  const AttentionShape s = AttentionShape::of(qkv, heads);
  const DType from = qkv.dtype();
  if (from == DType::f64) return cached_of<double, double>(qkv, s, cache, positions);
  return from == DType::f32 ? cached_from<float>(qkv, s, cache, positions)
                            : cached_from<bfloat16>(qkv, s, cache, positions);
}

}  // namespace
}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(attention_cached);

namespace {

// A head's positions are its outer dimension, so that the first ones are its first bytes; 64 of
// them are one block of keys.
void copy_positions(const Array& from, int64_t from_row, int64_t from_capacity, Array& to,
                    int64_t to_row, int64_t length) {
  const int64_t H = from.dim(1), whole = (length + 63) / 64;
  const size_t from_head = from.bytes() / size_t(from.dim(0) * H);
  const size_t to_head = to.bytes() / size_t(to.dim(0) * H);
  const size_t block = from_head / size_t((from_capacity + 63) / 64);
  const char* source = static_cast<const char*>(from.address()) + size_t(from_row * H) * from_head;
  char* target = static_cast<char*>(to.address()) + size_t(to_row * H) * to_head;
  if (source == target) return;
  parallel_for(H, [&](int64_t h) {
    std::memcpy(target + size_t(h) * to_head, source + size_t(h) * from_head,
                size_t(whole) * block);
  });
}

class CpuKvCacheOps final : public KvCacheOps {
 public:
  KvLayer make_layer(int64_t B, int64_t T, const Heads& heads, DType dtype) override {
    check_kv_dtype(dtype);
    const Device device = RunningOn::device().value();
    const int64_t n_head = heads.n_kv_head, D = heads.width, capacity = kv_capacity(T, heads);
    const int64_t blocks = (capacity + 63) / 64;
    KvLayer layer{Array({B, n_head, blocks, D, 64}, dtype, device),
                  Array({B, n_head, blocks * 64, (D + 15) / 16 * 16}, dtype, device),
                  Array({B, n_head, blocks, 2, dtype == DType::i8 ? 64 : 0}, DType::f32, device),
                  capacity, heads};
    for (const Array& part : {layer.k, layer.v, layer.scales})
      std::memset(part.address(), 0, part.bytes());
    return layer;
  }

  Array attention(const Array& qkv, const Heads& heads, KvLayer& cache,
                  const Array& positions) override {
    begin_cached_attention(qkv, heads, cache, positions);
    const std::span first(positions.data<int32_t>(), size_t(positions.size()));
    return HWY_DYNAMIC_DISPATCH(attention_cached)(qkv, heads, cache, first);
  }

  void copy(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
            int64_t length) override {
    begin_kv_copy(from, from_row, to, to_row, length);
    copy_positions(from.k, from_row, from.capacity, to.k, to_row, length);
    copy_positions(from.v, from_row, from.capacity, to.v, to_row, length);
    copy_positions(from.scales, from_row, from.capacity, to.scales, to_row, length);
  }
};

}  // namespace

KvCacheOps& cpu_kv_cache() {
  static auto& operations = *new CpuKvCacheOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif

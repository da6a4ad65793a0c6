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
// vectors, and v [B, H, T, width], with H heads of keys, T the capacity rounded up to 64 and width
// to 16; position p lies at p modulo T. Under int8, scales [B, H, T / 64, 2, 64] are those of 64
// keys and then of their values. A scale belongs to one position, so it leaves both dot products: a
// key's multiplies its score, a value's its probability.
//
// Why a row's bits do not depend on the call that computes it, nor on T: its scores and its result
// are chains of multiply-adds in the order of the head's elements and of the positions, whatever
// rows share the tile; the softmax walks a row in vectors that start at multiples of their lanes;
// and nothing that a row does not see is added to it, not even times zero.
HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

constexpr int64_t key_block = 64;

// One head of the cache's keys and values, and what the call brings for it; qkv and y at the first
// row of its sequence.
template <class E, class S>
struct CachedHead {
  const AttentionShape& s;
  int64_t kv_head;
  int64_t room;      // positions that fit, a multiple of 64
  int64_t position;  // of the call's first query
  const E* qkv;
  E* y;
  S *k, *v;
  float* scales;

  int64_t width() const { return round_up(s.D, max_lanes); }
  int64_t first_head() const { return kv_head * s.heads.shared(); }  // of queries
  int64_t place(int64_t at) const { return at % room; }
  // Those of the call's position t.
  const E* key(int64_t t) const { return qkv + t * s.row() + s.key(first_head()); }
  const E* value(int64_t t) const { return qkv + t * s.row() + s.value(first_head()); }
};

template <class E, class S>
void append(const CachedHead<E, S>& head) {
  const int64_t row = head.s.row(), D = head.s.D;
  for (int64_t t = 0; t < head.s.T;) {
    const int64_t at = head.place(head.position + t), lane = at % key_block;
    const int64_t n = std::min(head.s.T - t, key_block - lane);
    const E* from = head.key(t);
    S* block = head.k + (at - lane) * D + lane;
    for (int64_t c = 0; c < D; ++c) {
      for (int64_t i = 0; i < n; ++i) block[c * key_block + i] = S(Compute<E>(from[i * row + c]));
    }
    t += n;
  }
  for (int64_t t = 0; t < head.s.T; ++t) {
    copy_scaled(head.value(t), D, Compute<E>(1),
                head.v + head.place(head.position + t) * head.width());
  }
}

template <class E>
void append(const CachedHead<E, int8_t>& head) {
  const int64_t D = head.s.D, width = head.width();
  Scratch scratch(Scratch::bytes_for<float>(width) + Scratch::bytes_for<int8_t>(width));
  float* values = scratch.take<float>(width);
  int8_t* q = scratch.take<int8_t>(width);
  auto quantized = [&](const E* from, int8_t* to) {
    pack_rows(from, 0, 1, D, 1.0f, values, 1, width);
    return quantize(values, width, to).scale;
  };
  for (int64_t t = 0; t < head.s.T; ++t) {
    const int64_t at = head.place(head.position + t), lane = at % key_block;
    float* scales = head.scales + 2 * (at - lane) + lane;
    scales[0] = quantized(head.key(t), q);
    int8_t* block = head.k + (at - lane) * D + lane;
    for (int64_t c = 0; c < D; ++c) block[c * key_block] = q[c];
    scales[key_block] = quantized(head.value(t), head.v + at * width);
  }
}

// x[i] *= scale(i) for n positions from `base` on, both multiples of 64: the scales of the keys, or
// `after` those of the values.
template <class E>
HWY_INLINE void multiply_scales(const CachedHead<E, int8_t>& head, int64_t after, int64_t base,
                                int64_t n, float* x) {
  const Lanes<float> d;
  for (int64_t block = 0; block < n; block += key_block) {
    const float* scales = head.scales + 2 * head.place(base + block) + after;
    for (int64_t i = 0; i < key_block; i += int64_t(hn::Lanes(d))) {
      float* at = x + block + i;
      hn::StoreU(hn::Mul(hn::LoadU(d, at), hn::LoadU(d, scales + i)), d, at);
    }
  }
}

// Softmax over keys [begin, past) in place, without the division by the sum, which is returned.
template <class F>
F softmax_row(F* scores, int64_t begin, int64_t past) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d), start = round_down(begin, lanes);
  const int64_t whole = round_down(past, lanes);
  const auto before = hn::FirstN(d, size_t(begin - start));
  const auto inside = hn::FirstN(d, size_t(past - whole));
  // x of the vector at `key`, where it is outside `other`.
  auto masked = [&](int64_t key, auto x, auto other) HWY_ATTR {
    if (key < begin) x = hn::IfThenElse(before, other, x);
    if (key == whole) x = hn::IfThenElse(inside, x, other);
    return x;
  };
  const auto lowest = hn::Set(d, hwy::LowestValue<F>());
  auto largest = lowest;
  for (int64_t key = start; key < past; key += lanes)
    largest = hn::Max(largest, masked(key, hn::LoadU(d, scores + key), lowest));
  largest = hn::MaxOfLanes(d, largest);

  auto sum = hn::Zero(d);
  for (int64_t key = start; key < past; key += lanes) {
    auto p = exp_negative(d, hn::Sub(hn::LoadU(d, scores + key), largest));
    p = masked(key, p, hn::Zero(d));
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

// Adds to result [rows, width] the values of positions [begin, end), in their order, times what
// `weights` [rows, keys] has for them, whose column 0 is that of position `base`; or, unless
// `accumulate`, sets it to that.
template <int rows, class E, class S, class F = Compute<S>>
HWY_INLINE void add_values(const CachedHead<E, S>& head, const F* weights, int64_t keys,
                           int64_t base, int64_t begin, int64_t end, F* result, bool accumulate) {
  const int64_t width = head.width();
  while (begin < end) {
    const int64_t place = head.place(begin), n = std::min(end - begin, head.room - place);
    multiply_rows<rows>(Broadcast<F>{weights + begin - base, keys, 1}, head.v + place * width,
                        width, result, width, width, n, accumulate);
    accumulate = true;
    begin += n;
  }
}

// The call's queries [t, t + rows) of query head h. A window is no smaller than `rows`.
template <int rows, class E, class S>
void attend_rows(const CachedHead<E, S>& head, int64_t h, int64_t t) {
  using F = Compute<S>;
  constexpr bool quantised = std::is_same_v<S, int8_t>;
  const AttentionShape& s = head.s;
  const int64_t width = head.width(), first = head.position + t;
  const int64_t base = round_down(s.heads.first_seen(first), key_block);
  const int64_t keys = round_up(first + rows, key_block) - base;
  Scratch scratch(2 * Scratch::bytes_for<F>(rows * width) + Scratch::bytes_for<F>(rows * keys));
  F* q = scratch.take<F>(rows * width);
  F* result = scratch.take<F>(rows * width);
  F* scores = scratch.take<F>(rows * keys);
  pack_rows(head.qkv + t * s.row() + s.query(h), s.row(), rows, s.D, s.scale<F>(), q, rows, width);
  for (int64_t key = 0; key < keys; key += key_block) {
    const S* block = head.k + head.place(base + key) * s.D;
    multiply_rows<rows>(Broadcast<F>{q, width, 1}, block, key_block, scores + key, keys, key_block,
                        s.D, false);
  }
  F sum[rows];
  for (int64_t r = 0; r < rows; ++r) {
    if constexpr (quantised) multiply_scales(head, 0, base, keys, scores + r * keys);
    sum[r] =
        softmax_row(scores + r * keys, s.heads.first_seen(first + r) - base, first + r + 1 - base);
    if constexpr (quantised) multiply_scales(head, key_block, base, keys, scores + r * keys);
  }
  // The keys that the last row sees no more, those that all rows see, those that the first does not
  // see yet.
  const int64_t common = s.heads.first_seen(first + rows - 1);
  for (int64_t r = 0; r < rows && common > 0; ++r) {
    F* row = result + r * width;
    std::fill_n(row, width, F(0));
    add_values<1>(head, scores + r * keys, keys, base, s.heads.first_seen(first + r), common, row,
                  true);
  }
  add_values<rows>(head, scores, keys, base, common, first + 1, result, common > 0);
  for (int64_t r = 1; r < rows; ++r) {
    add_values<1>(head, scores + r * keys, keys, base, first + 1, first + 1 + r, result + r * width,
                  true);
  }
  for (int64_t r = 0; r < rows; ++r) {
    copy_scaled(result + r * width, s.D, F(1) / sum[r], head.y + (t + r) * s.C() + s.query(h));
  }
}

template <class E, class S>
void attend(const CachedHead<E, S>& head, int64_t begin, int64_t end) {
  const Heads& heads = head.s.heads;
  const bool is_wide = heads.window == 0 || heads.window >= 8;
  for (int64_t h = head.first_head(); h < head.first_head() + heads.shared(); ++h) {
    int64_t t = begin;
    for (; is_wide && t + 8 <= end; t += 8) attend_rows<8>(head, h, t);
    for (; t < end; ++t) attend_rows<1>(head, h, t);
  }
}

template <class E, class S>
Array cached_of(const Array& qkv, const AttentionShape& s, KvLayer& cache,
                std::span<const int32_t> positions) {
  Array y({s.B, s.T, s.C()}, qkv.dtype(), qkv.device());
  const int64_t heads = s.B * s.heads.n_kv_head;
  // Here, not in the loops: a Profiler counts what its own thread asks for.
  const E* in = qkv.data<E>();
  E* out = y.data<E>();
  S *k = cache.k.data<S>(), *v = cache.v.data<S>();
  float* scales = cache.scales.data<float>();
  auto head_at = [&](int64_t i) {
    const int64_t b = i / s.heads.n_kv_head;
    return CachedHead<E, S>{s,
                            i % s.heads.n_kv_head,
                            cache.v.dim(2),
                            positions[size_t(b)],
                            in + b * s.T * s.row(),
                            out + b * s.T * s.C(),
                            k + i * (cache.k.size() / heads),
                            v + i * (cache.v.size() / heads),
                            scales + i * (cache.scales.size() / heads)};
  };
  constexpr int64_t block = 32;
  const int64_t blocks = (s.T + block - 1) / block;
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

// The blocks of 64 positions that hold [begin, length) of a sequence, of every head: a head, which
// dimension 1 counts, has its blocks one after the other.
void copy_positions(const Array& from, int64_t from_row, int64_t from_blocks, Array& to,
                    int64_t to_row, int64_t to_blocks, int64_t begin, int64_t length) {
  const int64_t H = from.dim(1);
  const size_t from_head = from.bytes() / size_t(from.dim(0) * H);
  const size_t to_head = to.bytes() / size_t(to.dim(0) * H);
  const size_t block = from_head / size_t(from_blocks);
  const char* source = static_cast<const char*>(from.address()) + size_t(from_row * H) * from_head;
  char* target = static_cast<char*>(to.address()) + size_t(to_row * H) * to_head;
  if (source == target) return;
  parallel_for(H, [&](int64_t h) {
    for (int64_t i = begin / 64; i < (length + 63) / 64; ++i)
      std::memcpy(target + size_t(h) * to_head + size_t(i % to_blocks) * block,
                  source + size_t(h) * from_head + size_t(i % from_blocks) * block, block);
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
    const int64_t begin = to.heads.first_seen(length);
    const int64_t from_blocks = from.v.dim(2) / 64, to_blocks = to.v.dim(2) / 64;
    auto copy_part = [&](const Array& source, Array& target) {
      copy_positions(source, from_row, from_blocks, target, to_row, to_blocks, begin, length);
    };
    copy_part(from.k, to.k);
    copy_part(from.v, to.v);
    copy_part(from.scales, to.scales);
  }
};

}  // namespace

KvCacheOps& cpu_kv_cache() {
  static auto& operations = *new CpuKvCacheOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif

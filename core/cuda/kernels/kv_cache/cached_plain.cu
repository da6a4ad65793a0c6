#include <type_traits>

#include "core/cuda/kernels/kv_cache/append.h"
#include "core/cuda/kernels/kv_cache/append_row.h"
#include "core/cuda/kernels/kv_cache/cached_kernels.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {
namespace {

constexpr int plain_threads = 128, most_rows = 16;
constexpr int lanes_per_row = plain_threads / most_rows;
constexpr int score_stride = chunk_keys + 1;

// The shared memory of a block, which has `rows` queries that share keys, and takes `keys` of a
// chunk's at a time.
template <class S, class F>
struct PlainTiles {
  int D, rows, keys;
  char* memory;

  __host__ __device__ int width() const { return cached_width<S>(D); }
  // Two buffers [keys, width], each row 16 bytes longer so that a column meets few banks twice.
  __host__ __device__ int row_bytes() const { return width() * int(sizeof(S)) + 16; }
  __device__ char* buffer(int i) const { return memory + i % 2 * keys * row_bytes(); }
  __device__ const S* buffer_row(int i, int row) const {
    return reinterpret_cast<const S*>(buffer(i) + row * row_bytes());
  }

  __device__ F* query(int row) const {  // zeros behind D
    return reinterpret_cast<F*>(memory + 2 * keys * row_bytes()) + row * width();
  }
  // The weighted values of the chunks so far, and of those of this chunk that have come.
  __device__ F* out(int row) const { return query(rows) + row * D; }
  __device__ F* of_chunk(int row) const { return out(rows) + row * D; }
  // Of this chunk: scores, then probabilities.
  __device__ F* scores(int row) const { return of_chunk(rows) + row * score_stride; }
  __device__ Softmax<F>* softmax() const { return reinterpret_cast<Softmax<F>*>(scores(rows)); }
  using Factors = typename Softmax<F>::Factors;
  __device__ Factors* factors() const { return reinterpret_cast<Factors*>(softmax() + rows); }

  size_t bytes() const {
    return size_t(2 * keys) * size_t(row_bytes()) +
           sizeof(F) * size_t(rows) * size_t(width() + 2 * D + score_stride + 4);
  }
  // The most that fits.
  static PlainTiles of(const CachedSizes& s) {
    constexpr size_t most = size_t{160} << 10;
    PlainTiles tiles{s.call.D, s.rows() < most_rows ? s.rows() : most_rows, chunk_keys, nullptr};
    while (tiles.bytes() > most && (tiles.rows > 1 || tiles.keys > 1))
      if (tiles.keys > 8 || tiles.rows == 1)
        tiles.keys /= 2;
      else
        tiles.rows /= 2;
    return tiles;
  }
};

// Which keys of a chunk the rows of a block see: a row those before its end, but for the ones
// before end - span.
struct Ends {
  int of_first;  // of the call's first query
  int first_row, span;
  const CachedSizes& sizes;

  __device__ int operator()(int row) const { return of_first + sizes.query_of(first_row + row); }
  __device__ int begin(int row) const {
    const int end = (*this)(row);
    return end > span ? end - span : 0;
  }
  __device__ bool sees(int row) const { return (*this)(row) > 0 && begin(row) < chunk_keys; }
};

// `keys` rows of k or v to a buffer; zeros for those that are not in [begin, end).
template <class S, class F>
__device__ void fetch_keys(const PlainTiles<S, F>& tiles, char* to, const S* from, int first,
                           int begin, int end) {
  const int pieces = tiles.width() / pack_size<S>;
  for (int i = int(threadIdx.x); i < tiles.keys * pieces; i += plain_threads) {
    const int row = i / pieces, column = i % pieces;
    copy_async(to + row * tiles.row_bytes() + column * 16,
               from + int64_t(first + row) * tiles.width() + column * pack_size<S>,
               begin <= first + row && first + row < end);
  }
}

// scores[r][key] of rows [row, row + n), whose elements a thread adds up in their order.
template <int n, class S, class F>
__device__ void score_key(const PlainTiles<S, F>& tiles, const S* k, int row, int key) {
  constexpr int piece = pack_size<S>, part = pack_size<F>;
  F sums[n] = {};
#pragma unroll 2
  for (int c = 0; c < tiles.width(); c += piece) {
    const Pack<S, piece> keys = load_pack<piece>(k + c);
#pragma unroll
    for (int i = 0; i < piece; i += part)
#pragma unroll
      for (int r = 0; r < n; ++r) {
        const Pack<F, part> queries = load_pack<part>(tiles.query(row + r) + c + i);
#pragma unroll
        for (int j = 0; j < part; ++j)
          sums[r] = std::fma(queries.at[j], F(keys.at[i + j]), sums[r]);
      }
  }
#pragma unroll
  for (int r = 0; r < n; ++r) tiles.scores(row + r)[key] = sums[r];
}

// Scores of `count` rows with the keys in a buffer, which are those from `key` on of the chunk.
template <class S, class F>
__device__ void score_keys(const PlainTiles<S, F>& tiles, int buffer, int count, int key,
                           const Ends& end) {
  const int j = int(threadIdx.x) % tiles.keys, groups = plain_threads / tiles.keys;
  const S* k = tiles.buffer_row(buffer, j);
  for (int row = int(threadIdx.x) / tiles.keys * 4; row < count; row += 4 * groups) {
    if (row + 4 <= count && key + j < end(row + 3))
      score_key<4>(tiles, k, row, key + j);
    else
      for (int r = row; r < row + 4 && r < count; ++r)
        if (key + j < end(r)) score_key<1>(tiles, k, r, key + j);
  }
}

// Scores -> 2^(score - largest), times the values' scales under int8; eight lanes a row.
template <class S, class F>
__device__ void softmax_rows(const PlainTiles<S, F>& tiles, const float* scales, F scale, int count,
                             const Ends& end) {
  const int row = int(threadIdx.x) / lanes_per_row, lane = int(threadIdx.x) % lanes_per_row;
  const int visible = row >= count ? 0 : end(row) < chunk_keys ? end(row) : chunk_keys;
  const int begin = end.begin(row);
  F* scores = tiles.scores(row < count ? row : 0);
  auto factor = [&](int key) {
    if constexpr (std::is_same_v<S, int8_t>) return scale * scales[key];
    return scale;
  };
  F largest = lowest<F>, sum = 0;
  for (int key = begin + lane; key < visible; key += lanes_per_row)
    largest = std::fmax(largest, scores[key] * factor(key));
#pragma unroll
  for (int lanes = lanes_per_row / 2; lanes > 0; lanes /= 2)
    largest = std::fmax(largest, __shfl_xor_sync(all_lanes, largest, lanes));
  for (int key = begin + lane; key < visible; key += lanes_per_row) {
    const F p = probability(scores[key], factor(key), largest);
    sum += p;
    if constexpr (std::is_same_v<S, int8_t>)
      scores[key] = p * scales[chunk_keys + key];
    else
      scores[key] = p;
  }
#pragma unroll
  for (int lanes = lanes_per_row / 2; lanes > 0; lanes /= 2)
    sum += __shfl_xor_sync(all_lanes, sum, lanes);
  if (lane == 0 && begin < visible) tiles.factors()[row] = tiles.softmax()[row].add(largest, sum);
}

// Of column c and rows [row, row + n): adds the values in a buffer, and what the chunk then has to
// the chunks before it.
template <int n, class S, class F>
__device__ void weigh_column(const PlainTiles<S, F>& tiles, int buffer, int row, int c, int key,
                             const Ends& end) {
  auto in_buffer = [&](int at) {
    return at < key ? 0 : at - key < tiles.keys ? at - key : tiles.keys;
  };
  auto first = [&](int r) { return in_buffer(end.begin(row + r)); };
  auto visible = [&](int r) { return in_buffer(end(row + r)); };
  const F* p = tiles.scores(row) + key;
  const int common_first = first(n - 1), common = visible(0);  // what all rows see
  F sums[n];
#pragma unroll
  for (int r = 0; r < n; ++r) sums[r] = key == 0 ? F(0) : tiles.of_chunk(row + r)[c];
  auto add = [&](int r, int begin, int past) {
    for (int j = begin; j < past; ++j)
      sums[r] = std::fma(p[r * score_stride + j], F(tiles.buffer_row(buffer, j)[c]), sums[r]);
  };
#pragma unroll
  for (int r = 0; r < n; ++r)
    add(r, first(r), visible(r) < common_first ? visible(r) : common_first);
#pragma unroll 4
  for (int j = common_first; j < common; ++j) {
    const F value = F(tiles.buffer_row(buffer, j)[c]);
#pragma unroll
    for (int r = 0; r < n; ++r) sums[r] = std::fma(p[r * score_stride + j], value, sums[r]);
  }
#pragma unroll
  for (int r = 0; r < n; ++r) {
    add(r, common_first < common ? common : common_first, visible(r));
    if (key + tiles.keys < chunk_keys)
      tiles.of_chunk(row + r)[c] = sums[r];
    else if (end.sees(row + r))
      tiles.out(row + r)[c] = tiles.factors()[row + r].merged(tiles.out(row + r)[c], sums[r]);
  }
}

template <class S, class F>
__device__ void weigh_values(const PlainTiles<S, F>& tiles, int buffer, int count, int key,
                             const Ends& end) {
  const int whole = count / 4, blocks = whole + count % 4;  // of four rows, and of one
  for (int i = int(threadIdx.x); i < blocks * tiles.D; i += plain_threads) {
    const int block = i / tiles.D, c = i % tiles.D;
    if (block < whole)
      weigh_column<4>(tiles, buffer, 4 * block, c, key, end);
    else
      weigh_column<1>(tiles, buffer, 3 * whole + block, c, key, end);
  }
}

// `rows` queries that share keys a block, over one chunk or, where nothing is split, all that they
// see.
// While some keys are worked on, the next come.
template <class E, class S, class F>
__global__ void __launch_bounds__(plain_threads)
    plain_kernel(CachedCall<E, S, F> x, PlainTiles<S, F> tiles, F scale, bool splits,
                 bool appends) {
  after_previous_kernel();
  tiles.memory = reinterpret_cast<char*>(&dynamic_shared<uint4>());
  const AttentionSizes& s = x.sizes.call;
  const int kv_head = int(blockIdx.x), first = int(blockIdx.y) * tiles.rows;
  const int count = x.sizes.rows() - first < tiles.rows ? x.sizes.rows() - first : tiles.rows;
  const int position = x.positions[kv_head / s.KV];
  const int first_seen = s.first_seen(position + x.sizes.query_of(first));
  const int end = position + x.sizes.query_of(first + count - 1) + 1;  // of what the rows see
  const int begin =
      splits ? x.sizes.first_chunk(position) + int(blockIdx.z) : first_seen / chunk_keys;
  const int past = splits ? begin + 1 : (end - 1) / chunk_keys + 1;
  if (begin * chunk_keys >= end) return;
  const CachedLayer<S> cached = x.cache.head(kv_head, x.sizes);
  if (appends) {
    append_to_chunk(key_rows(x.qkv, s, kv_head), cached, x.sizes, position, begin);
    __syncthreads();
  }

  const int steps = chunk_keys / tiles.keys;  // of keys, and as many of values
  auto fetch = [&](int i) {
    const int chunk = begin + i / (2 * steps), step = i % (2 * steps);
    const S* from = (step < steps ? cached.k : cached.v) +
                    int64_t(x.sizes.place(chunk * chunk_keys)) * tiles.width();
    fetch_keys(tiles, tiles.buffer(i), from, step % steps * tiles.keys,
               first_seen - chunk * chunk_keys, end - chunk * chunk_keys);
    commit_copies();
  };
  const int all = (past - begin) * 2 * steps;
  fetch(0);
  for (int i = int(threadIdx.x); i < count * tiles.width(); i += plain_threads) {
    const int row = i / tiles.width(), c = i % tiles.width();
    const E* query = query_rows(x.qkv, s, x.sizes.head_of(first + row, kv_head)) +
                     int64_t(x.sizes.query_of(first + row)) * s.columns();
    tiles.query(row)[c] = c < s.D ? F(query[c]) : F(0);
    if (c < s.D) tiles.out(row)[c] = 0;
    if (c == 0) tiles.softmax()[row] = Softmax<F>();
  }
  for (int i = 0; i < all; ++i) {
    const int chunk = begin + i / (2 * steps), step = i % (2 * steps);
    const Ends ends{position + 1 - chunk * chunk_keys, first, s.span(), x.sizes};
    if (i + 1 < all) {
      fetch(i + 1);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    if (step == steps) {
      softmax_rows(tiles, cached.scale(x.sizes.place(chunk * chunk_keys), 0), scale, count, ends);
      __syncthreads();
    }
    const int key = step % steps * tiles.keys;
    if (step < steps)
      score_keys(tiles, i, count, key, ends);
    else
      weigh_values(tiles, i, count, key, ends);
    __syncthreads();
  }

  for (int i = int(threadIdx.x); i < count * s.D; i += plain_threads) {
    const int row = i / s.D, c = i % s.D;
    const int head = x.sizes.head_of(first + row, kv_head), query = x.sizes.query_of(first + row);
    const Softmax<F> softmax = tiles.softmax()[row];
    if (splits) {
      const Ends ends{position + 1 - begin * chunk_keys, first, s.span(), x.sizes};
      if (!ends.sees(row)) continue;
      const int64_t place = x.partials.place(x.sizes, head, query, int(blockIdx.z));
      x.partials.out[place * s.D + c] = tiles.out(row)[c];
      if (c == 0) x.partials.softmax[2 * place] = softmax.largest;
      if (c == 0) x.partials.softmax[2 * place + 1] = softmax.sum;
    } else {
      result_rows(x.y, s, head)[int64_t(query) * s.C() + c] =
          E(tiles.out(row)[c] * (F(1) / softmax.sum));
    }
  }
}

}  // namespace

template <class E, class S, class F>
void plain_cached_attention(const CachedCall<E, S, F>& call, cudaStream_t stream) {
  const AttentionSizes& s = call.sizes.call;
  const auto tiles = PlainTiles<S, F>::of(call.sizes);
  const bool splits = is_split(call.sizes), appends = splits && call.sizes.rows() <= tiles.rows;
  if (!appends) append_to_cache(call.qkv, call.cache, call.positions, call.sizes, stream);
  const dim3 grid(unsigned(s.B * s.KV), unsigned((call.sizes.rows() + tiles.rows - 1) / tiles.rows),
                  unsigned(splits ? call.sizes.parts() : 1));
  launch_early("attention_cached", plain_kernel<E, S, F>, {grid, plain_threads, tiles.bytes()},
               stream, call, tiles, log2_e<F> / std::sqrt(F(s.D)), splits, appends);
}

template void plain_cached_attention(const CachedCall<double, double, double>&, cudaStream_t);
template void plain_cached_attention(const CachedCall<float, float, float>&, cudaStream_t);
template void plain_cached_attention(const CachedCall<float, bfloat16, float>&, cudaStream_t);
template void plain_cached_attention(const CachedCall<float, int8_t, float>&, cudaStream_t);
template void plain_cached_attention(const CachedCall<bfloat16, float, float>&, cudaStream_t);
template void plain_cached_attention(const CachedCall<bfloat16, bfloat16, float>&, cudaStream_t);
template void plain_cached_attention(const CachedCall<bfloat16, int8_t, float>&, cudaStream_t);

}  // namespace folio::cuda

#include "core/cuda/kernels/sampling/draw.h"

#include <bit>

#include "core/cuda/kernels/pack.h"
#include "core/cuda/ptx.h"
#include "core/devices/token_weights.h"

namespace folio::cuda {
namespace {

constexpr int most_warps = 32;

// Larger for the likelier token, one for both zeros.
__device__ inline uint32_t key_of(float logit) {
  const auto bits = std::bit_cast<uint32_t>(logit + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
__device__ inline float logit_of(uint32_t key) {
  return std::bit_cast<float>(key >> 31 ? key & 0x7fffffffu : ~key);
}
constexpr uint32_t least_key = 0x00800000, not_finite = ~uint32_t{0};

__device__ inline int warp_of_thread() { return int(threadIdx.x) / 32; }
__device__ inline int warps_of_block() { return int(blockDim.x) / 32; }

// Of the lanes up to this one.
template <class T>
__device__ T running_sum(T x) {
  for (int lanes = 1; lanes < 32; lanes *= 2) {
    const T before = __shfl_up_sync(all_lanes, x, unsigned(lanes));
    if (lane_of_warp() >= lanes) x += before;
  }
  return x;
}

template <class T>
struct OfWarps {
  T at[most_warps];
};

// What each warp brings, for all to read; nobody reads an earlier call's any more.
template <class T>
__device__ const OfWarps<T>& exchange(const T& of_warp) {
  auto& all = shared<OfWarps<T>>();
  __syncthreads();
  if (lane_of_warp() == 0) all.at[warp_of_thread()] = of_warp;
  __syncthreads();
  return all;
}

__device__ inline uint64_t sum_of_block(uint64_t x) {
  const auto& all = exchange(sum_of_warp(x));
  uint64_t sum = 0;
  for (int warp = 0; warp < warps_of_block(); ++warp) sum += all.at[warp];
  return sum;
}

// Of the block's threads before this one.
__device__ inline uint64_t sum_before(uint64_t x) {
  const uint64_t through = running_sum(x);
  const auto& all = exchange(__shfl_sync(all_lanes, through, 31));
  uint64_t sum = through - x;
  for (int warp = 0; warp < warp_of_thread(); ++warp) sum += all.at[warp];
  return sum;
}

// f(id, logit) for the ids first, first + step... below `end`; eight logits are on their way at
// once.
template <class F>
__device__ __forceinline__ void each_logit(const float* logits, int first, int end, int step,
                                           F&& f) {
  constexpr int ahead = 8;
  int id = first;
  for (; id + (ahead - 1) * step < end; id += ahead * step) {
    float some[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) some[i] = logits[id + i * step];
#pragma unroll
    for (int i = 0; i < ahead; ++i) f(id + i * step, some[i]);
  }
  for (; id < end; id += step) f(id, logits[id]);
}
// Over all tokens, by the block.
template <class F>
__device__ __forceinline__ void each_logit(const float* logits, int tokens, F&& f) {
  each_logit(logits, int(threadIdx.x), tokens, int(blockDim.x), f);
}

// The row's logits with the repetition penalty.
__device__ const float* penalise(const Draws& in, const DeviceRowDraw& row, const float* logits) {
  float* to = in.penalised + int64_t(blockIdx.x) * in.tokens;
  each_logit(logits, in.tokens, [&](int id, float logit) { to[id] = logit; });
  __syncthreads();
  for (int64_t i = threadIdx.x; i < row.seen_count; i += blockDim.x) {
    const int32_t id = in.seen[row.seen_begin + i];
    if (uint32_t(id) < uint32_t(in.tokens))
      to[id] = penalised_logit(logits[id], in.repetition_penalty);
  }
  __syncthreads();
  return to;
}

struct Best {
  uint32_t key;  // not_finite if a logit is that
  int32_t id;    // the first of that key
};

__device__ Best best_of(const float* logits, int tokens) {
  uint32_t key = 0, id = 0;
  bool finite = true;
  each_logit(logits, tokens, [&](int i, float logit) {
    finite &= std::bit_cast<uint32_t>(logit) << 1 < 0xff000000u;
    if (key_of(logit) > key) key = key_of(logit), id = uint32_t(i);
  });
  uint64_t top = uint64_t(finite ? key : not_finite) << 32 | uint32_t(~id);
  for (int lanes = 16; lanes > 0; lanes /= 2)
    top = std::max(top, __shfl_xor_sync(all_lanes, top, lanes));
  const auto& all = exchange(top);
  for (int warp = 0; warp < warps_of_block(); ++warp) top = std::max(top, all.at[warp]);
  return {uint32_t(top >> 32), int32_t(~uint32_t(top))};
}

// Sums of 32 or of 64 bits.
constexpr uint32_t bins = 2048;
struct Histogram {
  uint32_t low[bins], high[bins];

  __device__ void add(uint32_t bin, uint32_t x) { atomicAdd(&low[bin], x); }
  __device__ void add(uint32_t bin, uint64_t x) {
    const auto x_low = uint32_t(x);
    const uint32_t carry = atomicAdd(&low[bin], x_low) > ~x_low;
    const uint32_t x_high = uint32_t(x >> 32) + carry;
    if (x_high != 0) atomicAdd(&high[bin], x_high);
  }
  __device__ uint64_t at(uint32_t bin) const { return uint64_t(high[bin]) << 32 | low[bin]; }
};

struct Border {
  uint32_t at;    // a bin, or a key
  uint64_t need;  // what is still needed when all above is taken
};

// The bin at which the sum from the last of `used` bins down reaches `need`. Whoever writes to the
// histogram next does so behind a barrier.
__device__ Border border_bin(const Histogram& histogram, uint32_t used, uint64_t need) {
  auto& found = shared<Border>();
  const uint32_t share = (used + blockDim.x - 1) / blockDim.x;
  const uint32_t end = used - std::min(used, threadIdx.x * share),
                 begin = end - std::min(end, share);
  uint64_t mine = 0;
  for (uint32_t bin = begin; bin < end; ++bin) mine += histogram.at(bin);
  const uint64_t before = sum_before(mine);
  if (before < need && need <= before + mine) {
    uint32_t bin = end - 1;
    for (need -= before; need > histogram.at(bin); --bin) need -= histogram.at(bin);
    found = {bin, need};
  }
  __syncthreads();
  return found;
}

// The key in [low, high] at which the sum of amount(logit), from the highest down, reaches `need`:
// by the upper eleven bits in which the keys differ, then the next eleven, until it is one.
template <class Amount>
__device__ Border border_key(const float* logits, int tokens, uint32_t low, uint32_t high,
                             uint64_t need, Amount amount) {
  auto& histogram = shared<Histogram>();
  for (;;) {
    const uint32_t range = high - low;
    int shift = 0;
    while (range >> shift >= bins) ++shift;
    const uint32_t used = (range >> shift) + 1;
    for (uint32_t bin = threadIdx.x; bin < used; bin += blockDim.x)
      histogram.low[bin] = histogram.high[bin] = 0;
    __syncthreads();
    each_logit(logits, tokens, [&](int, float logit) {
      const uint32_t place = key_of(logit) - low;
      if (place <= range) histogram.add(place >> shift, amount(logit));
    });
    __syncthreads();
    const Border bin = border_bin(histogram, used, need);
    need = bin.need;
    low += bin.at << shift;
    if (shift == 0) return {low, need};
    high = std::min(high, low + (1u << shift) - 1);
  }
}

// The tokens that may be drawn: those above a key, and of those of that key the first `ties`.
struct Cut {
  uint32_t key = 0, ties = 0;
};

struct Weights {
  float best, scale;

  __device__ uint32_t distance(float logit) const { return token_distance(logit, best, scale); }
  __device__ uint64_t of(float logit) const { return weight_at(distance(logit)); }
  __device__ uint64_t of_key(uint32_t key) const { return of(logit_of(key)); }
};

// Leaves of the tokens of `cut` the fewest whose weights reach top_p of all.
__device__ void keep_top_p(const float* logits, int tokens, uint32_t best_key,
                           const Weights& weights, double top_p, Cut& cut) {
  uint64_t above = 0;
  each_logit(logits, tokens, [&](int, float logit) {
    if (key_of(logit) > cut.key) above += weights.of(logit);
  });
  above = sum_of_block(above);
  const uint64_t tie = weights.of_key(cut.key), sum = above + cut.ties * tie;
  const uint64_t enough = enough_weight(top_p, sum);
  if (above < enough) {
    cut.ties = uint32_t((enough - above + tie - 1) / tie);
    return;
  }
  // Tokens of the mean of what may be left out, or less, are left out: by whole octaves, which need
  // no weight.
  const uint64_t low = (sum - enough) / uint64_t(tokens);
  uint32_t octaves = 0;
  while (top_weight >> octaves > low) ++octaves;
  const Border border = border_key(logits, tokens, cut.key + 1, best_key, enough, [&](float logit) {
    const uint32_t distance = weights.distance(logit);
    return distance < octaves << 26 ? weight_at(distance) : uint64_t{0};
  });
  const uint64_t each = weights.of_key(border.at);
  cut = {border.at, uint32_t((border.need + each - 1) / each)};
}

// Of some tokens: the sum of the weights above the cut, and how many are of its key.
struct Kept {
  uint64_t weight;
  uint32_t ties;
};

// Draws from the tokens of a cut that weigh `least` or more. The parts of a range of tokens, one a
// lane, are summed in the order of the ids until `left` is exceeded.
struct Draw {
  const float* logits;
  Weights weights;
  uint64_t least;
  Cut cut;            // of the tokens from the range's first on
  uint64_t of_tie;    // what a token of the cut's key weighs
  uint64_t left = 0;  // of what is drawn, at the range's first

  __device__ void add(float logit, Kept& to) const {
    const uint32_t key = key_of(logit);
    if (key < cut.key) return;
    if (key == cut.key) {
      ++to.ties;
    } else if (const uint64_t weight = weights.of(logit); weight >= least) {
      to.weight += weight;
    }
  }

  struct Part {
    Kept before, through;  // in the range, up to where this part begins and ends
  };
  __device__ Part part(const Kept& kept) const {
    const uint32_t ties = running_sum(kept.ties), ties_before = ties - kept.ties;
    const uint64_t tied = std::min(ties, cut.ties) - std::min(ties_before, cut.ties);
    const uint64_t weight = kept.weight + tied * of_tie, through = running_sum(weight);
    return {{through - weight, ties_before}, {through, ties}};
  }

  // The lane whose part is drawn, where the range begins from now on; 32, and it begins behind all
  // parts, if it is none of them.
  __device__ int enter(const Part& part) {
    const int lane = __popc(__ballot_sync(all_lanes, part.through.weight <= left));
    const bool none = lane == 32;
    const uint64_t weight = none ? part.through.weight : part.before.weight;
    const uint32_t ties = none ? part.through.ties : part.before.ties;
    left -= __shfl_sync(all_lanes, weight, std::min(lane, 31));
    cut.ties -= std::min(cut.ties, __shfl_sync(all_lanes, ties, std::min(lane, 31)));
    return lane;
  }
};

__device__ int32_t draw_id(Draw draw, const DeviceRowDraw& row, int tokens) {
  const int warp = warp_of_thread(), lane = lane_of_warp(), warps = warps_of_block();
  int begin = 0, end = tokens;
  // A warp a part, then a lane a token.
  for (bool first = true; first || end - begin > 64; first = false) {
    const int size = (end - begin + warps * 32 - 1) / (warps * 32) * 32;
    const int from = begin + warp * size;
    Kept kept{};
    each_logit(draw.logits, from + lane, std::min(from + size, end), 32,
               [&](int, float logit) { draw.add(logit, kept); });
    const auto& all = exchange(Kept{sum_of_warp(kept.weight), sum_of_warp(kept.ties)});
    const auto part = draw.part(lane < warps ? all.at[lane] : Kept{});
    if (first)
      draw.left =
          drawn_weight(row.stream, row.number, __shfl_sync(all_lanes, part.through.weight, 31));
    begin += draw.enter(part) * size;
    end = std::min(begin + size, end);
  }
  for (;; begin += 32) {
    Kept kept{};
    if (begin + lane < end) draw.add(draw.logits[begin + lane], kept);
    const int found = draw.enter(draw.part(kept));
    if (found < 32) return begin + found;
  }
}

// A block a row, which it reads twice, once more for a repetition penalty, three times more for
// top_k and four for top_p: after the first time, from the cache.
__global__ void __launch_bounds__(most_warps * 32, 1) draw_kernel(Draws in) {
  after_previous_kernel();
  const DeviceRowDraw& row = in.rows[blockIdx.x];
  const float* logits = in.logits + int64_t(blockIdx.x) * in.V;
  if (in.penalised) logits = penalise(in, row, logits);
  const Best best = best_of(logits, in.tokens);
  int32_t id = best.key == not_finite ? -1 : best.id;
  if (best.key != not_finite && !in.greedy) {
    const Weights weights{logit_of(best.key), in.distance_scale};
    Cut cut;
    if (in.top_k > 0) {
      const Border border = border_key(logits, in.tokens, least_key, best.key, uint64_t(in.top_k),
                                       [](float) { return 1u; });
      cut = {border.at, uint32_t(border.need)};
    }
    if (in.top_p < 1) keep_top_p(logits, in.tokens, best.key, weights, in.top_p, cut);
    const uint64_t tie = weights.of_key(cut.key);
    id = draw_id({logits, weights, in.least_weight, cut, tie >= in.least_weight ? tie : 0}, row,
                 in.tokens);
  }
  if (threadIdx.x == 0) {
    in.ids[blockIdx.x] = id;
    if (in.next) in.next[blockIdx.x] = std::max(id, 0);
  }
}

}  // namespace

void draw(const Draws& draws, int64_t rows, cudaStream_t stream) {
  unsigned warps = 1;
  while (warps < most_warps && int(warps) * 64 < draws.tokens) warps *= 2;
  launch_early("draw", draw_kernel, {unsigned(rows), warps * 32}, stream, draws);
}

}  // namespace folio::cuda

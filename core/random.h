#pragma once
#include <array>
#include <cstdint>

namespace folio {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): 128 random
// bits as a pure function of a 128-bit counter and a 64-bit key. Nothing is stored, so a mask can
// be made again in backward, in any order, by any number of threads.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint64_t key) {
  auto k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t(0xD2511F53u) * counter[0];
    uint64_t p1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(p1 >> 32) ^ counter[1] ^ k0, uint32_t(p1),
               uint32_t(p0 >> 32) ^ counter[3] ^ k1, uint32_t(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

// One independent stream of random numbers. Block i of it is philox({i low, i high, stream low,
// stream high}, seed).
struct RandomStream {
  uint64_t seed = 0;
  uint64_t stream = 0;

  constexpr std::array<uint32_t, 4> block(uint64_t i) const {
    return philox({uint32_t(i), uint32_t(i >> 32), uint32_t(stream), uint32_t(stream >> 32)}, seed);
  }
};

// Hands out streams. Its whole state is the two numbers, which a checkpoint saves.
struct Generator {
  uint64_t seed = 0;
  uint64_t drawn = 0;

  RandomStream next() { return {seed, drawn++}; }
};

// Number i of `stream`, uniform in [0, bound): every value exactly as likely. bound > 0.
inline uint64_t uniform_below(uint64_t bound, RandomStream stream, uint64_t i) {
  // 2^64 mod bound numbers are too many to share out evenly: those below `excess` are drawn again.
  uint64_t excess = (0 - bound) % bound;
  for (uint64_t attempt = 0;; ++attempt) {
    auto words = stream.block(i + (attempt << 32));
    uint64_t number = uint64_t(words[1]) << 32 | words[0];
    if (number >= excess) return number % bound;
  }
}

// Where number i goes in a permutation of [0, n) that `stream` draws, i < n: a Feistel network
// (Luby & Rackoff, 1988) over the least even number of bits that holds n, whose rounds are Philox,
// walked on while it leads out of [0, n). Nothing is stored. Uses the stream's blocks from 2^32 on.
inline uint64_t permuted(uint64_t i, uint64_t n, RandomStream stream) {
  int half = 1;  // bits
  while (half < 32 && (n - 1) >> (2 * half) != 0) ++half;
  const uint64_t mask = (uint64_t(1) << half) - 1;
  do {
    uint64_t left = i >> half, right = i & mask;
    for (uint64_t round = 1; round <= 8; ++round) {
      uint64_t mixed = left ^ (stream.block(round << 32 | right)[0] & mask);
      left = right;
      right = mixed;
    }
    i = left << half | right;
  } while (i >= n);
  return i;
}

// Which elements a dropout zeroes: element i is dropped when the 16-bit number i of `stream` is
// below `threshold`, the others are multiplied by scale(). Number i is, in block i / 8, the low
// (even i) or high (odd i) half of word (i / 2) % 4. p is rounded to a multiple of 1 / 65536.
struct Dropout {
  uint32_t threshold = 0;  // 0: nothing is dropped
  RandomStream stream;

  static Dropout with(double p, RandomStream stream) { return {uint32_t(p * 65536 + 0.5), stream}; }
  constexpr bool enabled() const { return threshold > 0; }
  constexpr double scale() const { return 1.0 / (1.0 - threshold / 65536.0); }
  constexpr bool keeps(uint64_t i) const {
    uint32_t word = stream.block(i / 8)[(i / 2) % 4];
    return ((i % 2 ? word >> 16 : word & 0xffff)) >= threshold;
  }
};

}  // namespace folio

#include "core/cuda/kernels/sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <string>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"

namespace folio {
namespace {

using Keys = std::vector<uint64_t>;

struct NamedKeys {
  std::string name;
  Keys keys;
};

template <class F>
Keys made_of(size_t size, F&& key) {
  Keys keys(size);
  for (size_t i = 0; i < size; ++i) keys[i] = key(i);
  return keys;
}

Keys random_keys(size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  return made_of(size, [&](size_t) { return random(); });
}

// Orders in which each step of a sorting network has something to do: all pairs of a distance the
// wrong way round, runs that rise where they should fall, and few keys, which are the 0-1
// principle's cases (Knuth, The Art of Computer Programming, volume 3, 5.3.4).
std::vector<NamedKeys> kinds_of_keys(size_t size) {
  std::mt19937_64 random(size);
  const int bits = std::countr_zero(size);
  auto reversed_bits = [&](size_t i) {
    uint64_t reversed = 0;
    for (int bit = 0; bit < bits; ++bit) reversed |= uint64_t(i >> bit & 1) << (bits - 1 - bit);
    return reversed;
  };
  return {{"random", random_keys(size, 1)},
          {"random again", random_keys(size, 2)},
          {"zeros and ones", made_of(size, [&](size_t) { return random() % 2; })},
          {"few zeros", made_of(size, [&](size_t) { return uint64_t(random() % size > 2); })},
          {"rising", made_of(size, [](size_t i) { return uint64_t(i); })},
          {"falling", made_of(size, [&](size_t i) { return uint64_t(size - i); })},
          {"rising, then falling", made_of(size, [&](size_t i) { return std::min(i, size - i); })},
          {"falling, then rising", made_of(size, [&](size_t i) { return std::max(i, size - i); })},
          {"bits reversed", made_of(size, reversed_bits)},
          {"ids and places, padded", made_of(size, [&](size_t i) {
             return i > size / 2 + 1 ? ~uint64_t{0} : random() % 65 << 32 | i;
           })}};
}

void expect_sorted(const std::string& name, const Keys& keys) {
  Keys sorted = keys;
  std::ranges::sort(sorted);
  DeviceBuffer<uint64_t> device(keys);
  cuda::sort(device.data(), int64_t(keys.size()), test_stream());
  const Keys got = device.read();
  const auto differs = std::ranges::mismatch(got, sorted).in1 - got.begin();
  EXPECT_EQ(size_t(differs), keys.size()) << "out of order there, of " << name;
}

// Of less than a tile, of one and of two.
TEST(CudaSort, PutsKeysInOrderInAnySchedule) {
  for (size_t size : {1, 2, 64, 2048, 4096}) {
    if (with_tsan && size > 64) break;
    on_every_schedule([&] { expect_sorted("random", random_keys(size, 3)); });
  }
}

// Of many tiles, whose runs are joined by several steps of all keys.
TEST(CudaSort, PutsKeysOfEveryKindInOrder) {
  for (size_t size : {32, 2048, 8192, 65536}) {
    if (with_tsan && size > 32) break;
    if (with_asan && size > 8192) break;
    for (const auto& [name, keys] : kinds_of_keys(size)) expect_sorted(name, keys);
  }
}

}  // namespace
}  // namespace folio

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/backend.h"
#include "core/random.h"
#include "tests/message.h"
#include "tests/ranks/together/ranks.h"

namespace folio {
namespace {

// Sizes around a cache line, a message's piece (128 Ki f32) and several of them; odd ones.
const std::vector<int64_t> sizes = {0, 1, 2, 3, 15, 16, 17, 1000, 131'071, 131'072, 1'000'003};

// What `rank` has at `index` of the array number `n`: known to every rank without asking.
double value_at(int rank, int64_t index, int n) {
  uint64_t bits =
      (uint64_t(index) * 1'000'003 + uint64_t(rank) * 7919 + uint64_t(n)) * 0x9E3779B97F4A7C15ull;
  return (double(bits >> 11) / double(1ull << 53) - 0.5) * (rank % 2 ? 1e4 : 1);
}
template <class T>
std::vector<T> values_of(int rank, int64_t size, int n = 0) {
  std::vector<T> values;
  for (int64_t i = 0; i < size; ++i) values.push_back(T(value_at(rank, i, n)));
  return values;
}
// Added up in the order of the ranks, as T.
template <class T>
std::vector<T> sums_of(int64_t size, int n = 0) {
  std::vector<T> sums = values_of<T>(0, size, n);
  for (int rank = 1; rank < ranks().size(); ++rank) {
    std::vector<T> more = values_of<T>(rank, size, n);
    for (int64_t i = 0; i < size; ++i) sums[size_t(i)] += more[size_t(i)];
  }
  return sums;
}
template <class T>
Array mine(int64_t size, int n = 0) {
  return to_array(values_of<T>(ranks().rank(), size, n), {size}, cpu);
}

template <class T>
class Sums : public testing::Test {};
using Summed = testing::Types<float, double>;
TYPED_TEST_SUITE(Sums, Summed);

TYPED_TEST(Sums, AllReduceAddsInTheOrderOfTheRanks) {
  std::vector<int64_t> more = sizes;
  more.push_back(4'300'007);  // more than may be on its way at once
  for (int64_t size : more) {
    Array x = mine<TypeParam>(size);
    ranks().all_reduce(x).wait();
    EXPECT_EQ(to_vector<TypeParam>(x), sums_of<TypeParam>(size)) << size;
  }
}

// So a sum does not depend on how an array is cut, nor on who keeps it.
TYPED_TEST(Sums, ReduceScatterHasTheBitsOfAllReduce) {
  for (int64_t size : sizes) {
    int64_t all = size * ranks().size();
    Array x = mine<TypeParam>(all), shard({size}, dtype_of<TypeParam>, cpu);
    ranks().reduce_scatter(x, shard).wait();
    std::vector<TypeParam> sums = sums_of<TypeParam>(all);
    auto begin = sums.begin() + ranks().rank() * size;
    EXPECT_EQ(to_vector<TypeParam>(shard), std::vector<TypeParam>(begin, begin + size)) << size;
    EXPECT_EQ(to_vector<TypeParam>(x), values_of<TypeParam>(ranks().rank(), all)) << size;
  }
}

TEST(Ranks, AShardOfASumMayBeAPartOfWhatIsSummed) {
  const int rank = ranks().rank();
  for (int64_t size : sizes) {
    const int64_t all = size * ranks().size();
    Array x = mine<float>(all);
    ranks().reduce_scatter(x, x.slice(rank * size, (rank + 1) * size)).wait();
    std::vector<float> expected = values_of<float>(rank, all), sums = sums_of<float>(all);
    std::copy_n(sums.begin() + rank * size, size, expected.begin() + rank * size);
    EXPECT_EQ(to_vector<float>(x), expected) << size;
  }
}

TEST(Ranks, AShardMayBeAPartOfWhatItIsGatheredInto) {
  for (bool inside : {false, true}) {
    for (int64_t size : sizes) {
      const int rank = ranks().rank();
      Array x = full({size * ranks().size()}, -1, DType::f32, cpu), shard = mine<float>(size);
      if (inside) {
        Array part = x.slice(rank * size, (rank + 1) * size);
        if (size > 0) backend(x)->layout.copy_block(shard, 0, part, 0, size, 0);
        shard = part;
      }
      ranks().all_gather(shard, x).wait();
      std::vector<float> expected;
      for (int r = 0; r < ranks().size(); ++r) {
        std::vector<float> part = values_of<float>(r, size);
        expected.insert(expected.end(), part.begin(), part.end());
      }
      EXPECT_EQ(to_vector<float>(x), expected) << size;
    }
  }
}

TEST(Ranks, BroadcastBringsAnyDtypeFromAnyRank) {
  for (int root = 0; root < ranks().size(); ++root) {
    for (int64_t size : sizes) {
      Array x = mine<double>(size);
      ranks().broadcast(x, root).wait();
      EXPECT_EQ(to_vector<double>(x), values_of<double>(root, size)) << size;
    }
    std::vector<int32_t> ids = {root, ranks().rank(), -7};
    Array x = to_array(ids, {3}, cpu);
    ranks().broadcast(x, root).wait();
    EXPECT_THAT(to_vector<int32_t>(x), testing::ElementsAre(root, root, -7));
  }
}

// Buckets that are under way together, each done when it is.
TEST(Ranks, SeveralAreUnderWayAndWaitedForInAnyOrder) {
  for (int round = 0; round < 5; ++round) {
    std::vector<Array> arrays;
    std::vector<Pending> pending;
    for (int n = 0; n < 6; ++n) {
      arrays.push_back(mine<float>(200'001 * (n % 3) + n, n));
      pending.push_back(ranks().all_reduce(arrays.back()));
      ranks().progress();
    }
    Array shard({50'000}, DType::f32, cpu), whole = mine<float>(50'000 * ranks().size());
    Pending scattered = ranks().reduce_scatter(whole, shard);
    for (int n : {3, 0, 5, 1, 4, 2}) {
      pending[size_t(n)].wait();
      EXPECT_TRUE(pending[size_t(n)].done());
      EXPECT_EQ(to_vector<float>(arrays[size_t(n)]), sums_of<float>(200'001 * (n % 3) + n, n));
    }
    scattered.wait();
  }
}

// More than there is memory for at once: those behind begin when the first are done.
TEST(Ranks, SumsThatWaitForRoomHaveTheirTurn) {
  constexpr int64_t size = 9'000'000;
  std::vector<Array> arrays;
  std::vector<Pending> pending;
  for (int n = 0; n < 3; ++n) {
    arrays.push_back(full({size}, (ranks().rank() + 1) * (n + 1), DType::f32, cpu));
    pending.push_back(ranks().all_reduce(arrays.back()));
  }
  for (int n : {2, 0, 1}) {
    pending[size_t(n)].wait();
    const float sum = float(ranks().size() * (ranks().size() + 1) / 2 * (n + 1));
    std::vector<float> sums = to_vector<float>(arrays[size_t(n)]);
    EXPECT_EQ(std::ranges::count(sums, sum), size) << n;
  }
}

TEST(Ranks, ProgressAloneBringsItToItsEnd) {
  Array x = mine<float>(1'000'003);
  Pending pending = ranks().all_reduce(x);
  while (!pending.done()) ranks().progress();
  EXPECT_EQ(to_vector<float>(x), sums_of<float>(1'000'003));
}

// Sums of numbers that are not numbers included.
TEST(Ranks, EveryRankHasTheSameBytesAndTheSameAgain) {
  std::string before;
  for (int run = 0; run < 3; ++run) {
    std::vector<float> values = values_of<float>(ranks().rank(), 300'007);
    values[5] = std::numeric_limits<float>::quiet_NaN();
    values[7] = (ranks().rank() % 2 ? -1 : 1) * std::numeric_limits<float>::infinity();
    Array x = to_array(values, {300'007}, cpu);
    ranks().all_reduce(x).wait();
    std::vector<float> sums = to_vector<float>(x);
    std::string bytes(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(float));
    for (const std::string& other : ranks().gather(bytes)) EXPECT_TRUE(other == bytes);
    EXPECT_TRUE(run == 0 || bytes == before);
    before = bytes;
  }
}

TEST(Ranks, GatherBringsEachRanksTextInOrder) {
  std::vector<std::string> expected;
  for (int r = 0; r < ranks().size(); ++r)
    expected.push_back(std::string(size_t(r) * 1000, char('a' + r)));
  EXPECT_EQ(ranks().gather(expected[size_t(ranks().rank())]), expected);
  EXPECT_EQ(ranks().gather(""), std::vector<std::string>(size_t(ranks().size())));
}

TEST(Ranks, WhatCannotBeSummedOrSharedIsRefusedOnEveryRank) {
  if (ranks().size() == 1) GTEST_SKIP() << "one process takes arrays as they are";
  Array ids = to_array(std::vector<int32_t>{1}, {1}, cpu), x = mine<float>(10);
  EXPECT_THAT(message_of([&] { ranks().all_reduce(ids); }),
              testing::StartsWith("all_reduce adds up f32 or f64, and was given int32"));
  EXPECT_THAT(message_of([&] { ranks().reduce_scatter(x, x); }),
              testing::StartsWith("reduce_scatter: shards of float32 [10] on "));
  EXPECT_THAT(message_of([&] { ranks().all_gather(x, x); }),
              testing::StartsWith("all_gather: shards of float32 [10] on "));
  EXPECT_THAT(message_of([&] { ranks().broadcast(x, ranks().size()); }),
              testing::HasSubstr(" is not among the "));
}

}  // namespace
}  // namespace folio

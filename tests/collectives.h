#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/ranks/communicator.h"

// What every Communicator must do, on whatever device: each is called on all ranks.
namespace folio::collectives {

// What rank r holds, which every rank can compute. Whole numbers: their sums are the same in any
// order, and exact.
template <class T>
std::vector<T> whole_numbers(int64_t n, int rank, int seed = 0) {
  std::mt19937 random(unsigned(1000 * seed + rank));
  std::vector<T> values(size_t(n), T(0));
  for (T& value : values) value = T(int64_t(random() % 20001) - 10000);
  return values;
}

// Of which the order of a sum shows.
template <class T>
std::vector<T> real_numbers(int64_t n, int rank) {
  std::mt19937 random(unsigned(rank + 7));
  std::normal_distribution<double> normal(0, 100);
  std::vector<T> values(size_t(n), T(0));
  for (T& value : values) value = T(normal(random));
  return values;
}

template <class T>
std::vector<T> sum_of_all(int64_t n, int size, int seed = 0) {
  std::vector<T> sum(size_t(n), T(0));
  for (int rank = 0; rank < size; ++rank) {
    const std::vector<T> part = whole_numbers<T>(n, rank, seed);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  return sum;
}

template <class T>
std::vector<T> part(const std::vector<T>& all, int64_t begin, int64_t end) {
  return {all.begin() + begin, all.begin() + end};
}

inline const std::vector<int64_t> sizes = {0, 1, 2, 3, 17, 1001, 300'007};

template <class T>
void all_reduce(Communicator& ranks) {
  for (int64_t n : sizes) {
    Array x = to_array(whole_numbers<T>(n, ranks.rank()), {n}, ranks.device());
    ranks.all_reduce(x).wait();
    EXPECT_EQ(to_vector<T>(x), sum_of_all<T>(n, ranks.size())) << n;
  }
}

// Apart, and in place.
template <class T>
void reduce_scatter(Communicator& ranks) {
  for (int64_t n : sizes) {
    const int64_t all = n * ranks.size();
    std::vector<T> mine = whole_numbers<T>(all, ranks.rank());
    const int64_t begin = n * ranks.rank(), end = begin + n;
    const std::vector<T> sum = part(sum_of_all<T>(all, ranks.size()), begin, end);
    for (bool in_place : {false, true}) {
      Array x = to_array(mine, {all}, ranks.device());
      Array shard = in_place ? x.slice(begin, end)
                             : to_array(std::vector<T>(size_t(n), T(-1)), {n}, ranks.device());
      ranks.reduce_scatter(x, shard).wait();
      EXPECT_EQ(to_vector<T>(shard), sum) << n << (in_place ? ", in place" : "");
      if (in_place) std::ranges::copy(sum, mine.begin() + begin);
      EXPECT_EQ(to_vector<T>(x), mine) << "the rest of x is left as it is";
    }
  }
}

// Apart, and in place.
template <class T>
void all_gather(Communicator& ranks) {
  for (int64_t n : sizes) {
    std::vector<T> expected;
    for (int rank = 0; rank < ranks.size(); ++rank)
      for (T value : whole_numbers<T>(n, rank)) expected.push_back(value);
    const std::vector<T> mine = whole_numbers<T>(n, ranks.rank());
    for (bool in_place : {false, true}) {
      Array x =
          to_array(std::vector<T>(expected.size(), T(-1)), {n * ranks.size()}, ranks.device());
      Array shard = in_place ? x.slice(n * ranks.rank(), n * (ranks.rank() + 1))
                             : Array({n}, dtype_of<T>, ranks.device());
      if (n > 0) backend(shard)->memory.write(mine.data(), shard);
      ranks.all_gather(shard, x).wait();
      EXPECT_EQ(to_vector<T>(x), expected) << n << (in_place ? ", in place" : "");
      EXPECT_EQ(to_vector<T>(shard), mine);
    }
  }
}

template <class T>
void broadcast(Communicator& ranks) {
  for (int64_t n : sizes)
    for (int root = 0; root < ranks.size(); ++root) {
      Array x = to_array(whole_numbers<T>(n, ranks.rank(), root), {n}, ranks.device());
      ranks.broadcast(x, root).wait();
      EXPECT_EQ(to_vector<T>(x), whole_numbers<T>(n, root, root)) << n << " from " << root;
    }
}

// What the device is asked for before and after a collective takes its turn.
inline void between_other_work(Communicator& ranks) {
  constexpr int64_t n = 5000;
  Array x = full({n}, 1 + ranks.rank(), DType::f32, ranks.device());
  float expected = 0;
  for (int rank = 0; rank < ranks.size(); ++rank) expected += float(1 + rank);
  for (int round = 0; round < 3; ++round) {
    x = backend(x)->elementwise.add(x, x);
    ranks.all_reduce(x).wait();
    x = backend(x)->elementwise.add(x, x);
    ranks.broadcast(x, ranks.size() - 1).wait();
    float sum = 0;
    for (int rank = 0; rank < ranks.size(); ++rank)
      sum += round == 0 ? 2 * float(1 + rank) : 2 * expected;
    expected = 2 * sum;
    EXPECT_EQ(to_vector<float>(x), std::vector<float>(size_t(n), expected)) << round;
  }
}

// A collective begins behind what was asked for before, though nothing else makes that happen.
inline void behind_other_work(Communicator& ranks) {
  Array x = full({1000}, 1, DType::f32, ranks.device());
  x = backend(x)->elementwise.add(x, x);
  Pending pending = ranks.all_reduce(x);
  ranks.gather("");  // waits for the collective
  pending.wait();
  EXPECT_EQ(to_vector<float>(x), std::vector<float>(1000, float(2 * ranks.size())));
}

// Several at once, waited for in another order than that in which they were asked for.
inline void several_pending(Communicator& ranks) {
  constexpr int count = 6;
  std::vector<Array> arrays;
  std::vector<Pending> pending;
  for (int i = 0; i < count; ++i) {
    const int64_t n = 1 + 700 * i;
    arrays.push_back(to_array(whole_numbers<float>(n, ranks.rank(), i), {n}, ranks.device()));
    pending.push_back(ranks.all_reduce(arrays.back()));
    ranks.progress();
  }
  for (int i : {4, 0, 5, 1, 3, 2}) {
    pending[size_t(i)].wait();
    EXPECT_TRUE(pending[size_t(i)].done());
    EXPECT_EQ(to_vector<float>(arrays[size_t(i)]),
              sum_of_all<float>(arrays[size_t(i)].size(), ranks.size(), i));
  }
}

// A Pending that nobody waits for: its memory is not used again before it is done.
inline void dropped(Communicator& ranks) {
  for (int i = 0; i < 4; ++i) {
    {
      Array x = full({3000}, 1, DType::f32, ranks.device());
      ranks.all_reduce(x);
    }
    Array y = full({3000}, 2, DType::f32, ranks.device());  // x's memory
    Array z = backend(y)->elementwise.add(y, y);
    EXPECT_EQ(to_vector<float>(z), std::vector<float>(3000, 4));
    ranks.gather("");  // behind all collectives
    EXPECT_EQ(to_vector<float>(y), std::vector<float>(3000, 2));
  }
}

// The same bytes twice and on all ranks, whatever the order of the sum is.
template <class T>
void same_bytes(Communicator& ranks) {
  std::vector<std::string> results;
  for (int round = 0; round < 2; ++round) {
    Array x = to_array(real_numbers<T>(20'011, ranks.rank()), {20'011}, ranks.device());
    ranks.all_reduce(x).wait();
    const std::vector<T> sum = to_vector<T>(x);
    results.emplace_back(reinterpret_cast<const char*>(sum.data()), sum.size() * sizeof(T));
  }
  EXPECT_EQ(results[0], results[1]) << "twice";
  const std::vector<std::string> all = ranks.gather(results[0]);
  for (const std::string& other : all) EXPECT_EQ(other, results[0]) << "on all ranks";
  // And it is the sum.
  std::vector<double> exact(20'011, 0);
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const std::vector<T> part = real_numbers<T>(20'011, rank);
    for (size_t i = 0; i < exact.size(); ++i) exact[i] += double(part[i]);
  }
  for (size_t i = 0; i < exact.size(); ++i) {
    T value;
    std::memcpy(&value, results[0].data() + i * sizeof(T), sizeof(T));
    ASSERT_NEAR(double(value), exact[i], 1e-3) << i;  // of f32, whose sums are below 4096
  }
}

inline void gather(Communicator& ranks) {
  for (int round = 0; round < 3; ++round) {
    // Of other sizes, one empty, one with any byte.
    auto given = [&](int rank) {
      return rank == round ? std::string() : std::string(size_t(1 + 1000 * rank), char(rank * 7));
    };
    const std::vector<std::string> all = ranks.gather(given(ranks.rank()));
    ASSERT_EQ(int(all.size()), ranks.size());
    for (int rank = 0; rank < ranks.size(); ++rank) EXPECT_EQ(all[size_t(rank)], given(rank));
  }
}

}  // namespace folio::collectives

#include "core/parallel.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace folio {
namespace {

class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_parallel_threads(GetParam()); }
  void TearDown() override { set_parallel_threads(0); }
};

TEST_P(Parallel, RunsEveryIndexOnce) {
  EXPECT_EQ(parallel_threads(), GetParam());
  for (int64_t n : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<size_t>(n));
    parallel_for(n, [&](int64_t i) { ++runs.at(size_t(i)); });
    for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 1) << n;
  }
}

TEST_P(Parallel, WhatALoopWroteIsThereForTheNext) {
  std::vector<int64_t> x(1000), y(1000);
  for (int64_t round = 1; round <= 500; ++round) {
    parallel_for(1000, [&](int64_t i) { x[size_t(i)] = round * i; });
    parallel_for(1000, [&](int64_t i) { y[size_t(i)] = x[size_t(999 - i)]; });
    ASSERT_EQ(y[0], 999 * round);
    ASSERT_EQ(y[998], round);
  }
}

TEST_P(Parallel, BlocksCoverTheRangeAndEndWithIt) {
  std::vector<std::atomic<int>> runs(103);
  parallel_blocks(103, 10, [&](int64_t begin, int64_t end) {
    EXPECT_LE(end - begin, 10);
    for (; begin < end; ++begin) ++runs.at(size_t(begin));
  });
  for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 1);
}

TEST_P(Parallel, ALoopInsideALoopRunsOnItsCaller) {
  std::atomic<int> runs = 0;
  parallel_for(8, [&](int64_t) {
    const std::thread::id caller = std::this_thread::get_id();
    parallel_for(100, [&](int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      ++runs;
    });
  });
  EXPECT_EQ(runs, 800);
}

TEST_P(Parallel, LoopsOfSeveralThreadsRunSideBySide) {
  std::atomic<int64_t> sum = 0;
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 3; ++caller)
      callers.emplace_back([&] {
        for (int round = 0; round < 100; ++round) parallel_for(100, [&](int64_t i) { sum += i; });
      });
  }
  EXPECT_EQ(sum, 3 * 100 * 4950);
}

TEST_P(Parallel, WhatALoopThrowsReachesItsCallerAndTheNextLoopRuns) {
  for (int round = 0; round < 100; ++round) {
    try {
      parallel_for(50, [&](int64_t i) {
        if (i == round % 50) throw std::runtime_error("index " + std::to_string(i));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), "index " + std::to_string(round % 50));
    }
    std::atomic<int> runs = 0;
    parallel_for(50, [&](int64_t) { ++runs; });
    EXPECT_EQ(runs, 50);
  }
}

// Or a Ctrl-C that the program waits for on one of its own threads would end it.
TEST_P(Parallel, WorkersLeaveSignalsToTheProgram) {
  const std::thread::id caller = std::this_thread::get_id();
  for (int round = 0; round < 100; ++round) {
    parallel_for(8, [&](int64_t) {
      if (std::this_thread::get_id() == caller) return;
      sigset_t blocked;
      pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      EXPECT_TRUE(sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM));
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 3, 8));

TEST(ParallelThreads, ZeroIsAllThatTheProcessMayUse) {
  set_parallel_threads(0);
  EXPECT_GE(parallel_threads(), 1);
  EXPECT_LE(parallel_threads(), int(std::max(1u, std::thread::hardware_concurrency())));
}

}  // namespace
}  // namespace folio

#include "core/process/stop.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>

#include "core/parallel.h"

namespace folio {
namespace {

class Stop : public testing::Test {
 protected:
  void SetUp() override { forget_stop(); }
  void TearDown() override { forget_stop(); }
};

TEST_F(Stop, TheFirstSignalIsTheOneThatCounts) {
  EXPECT_FALSE(stop_requested());
  EXPECT_NO_THROW(throw_if_stopped());
  request_stop(SIGTERM);
  request_stop(SIGINT);
  EXPECT_EQ(stop_signal(), SIGTERM);
  try {
    throw_if_stopped();
    FAIL();
  } catch (const Interrupted& interrupted) {
    EXPECT_EQ(interrupted.signal, SIGTERM);
  }
}

TEST_F(Stop, ComesAtTheCheckThatATestNames) {
  request_stop_at_check(SIGINT, 3);
  EXPECT_FALSE(stop_requested());
  EXPECT_NO_THROW(throw_if_stopped());
  EXPECT_NO_THROW(throw_if_stopped());
  EXPECT_THROW(throw_if_stopped(), Interrupted);
  EXPECT_TRUE(stop_requested());
}

TEST_F(Stop, EndsAParallelLoopWhereItsCallerIsInterruptible) {
  for (int threads : {1, 2}) {
    set_parallel_threads(threads);
    forget_stop();
    std::atomic<int> calls = 0;
    {
      Interruptible scope;
      request_stop_at_check(SIGINT, 10);
      EXPECT_THROW(parallel_for(1000, [&](int64_t) { ++calls; }), Interrupted);
      EXPECT_LT(calls, 1000);
      EXPECT_GE(calls, 8) << "work before the request was done";
    }
    calls = 0;
    parallel_for(1000, [&](int64_t) { ++calls; });
    EXPECT_EQ(calls, 1000) << "outside of the scope a loop is finished";
  }
  set_parallel_threads(0);
}

TEST_F(Stop, ASaveIsAskedForOnce) {
  EXPECT_FALSE(take_save_request());
  request_save();
  request_save();
  EXPECT_TRUE(take_save_request());
  EXPECT_FALSE(take_save_request());
}

}  // namespace
}  // namespace folio

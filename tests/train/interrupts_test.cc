#include "train/interrupts.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace folio {
namespace {

// As `timeout` and terminals send it: to the process, and at once to its group.
TEST(Interrupts, OneRequestSentTwiceAsksForAStopAndNoMore) {
  const std::atomic<bool>& stop = stop_on_interrupt();
  EXPECT_FALSE(stop);
  kill(getpid(), SIGINT);
  kill(getpid(), SIGINT);
  while (!stop) std::this_thread::yield();
  kill(getpid(), SIGTERM);
  EXPECT_TRUE(stop);
}

}  // namespace
}  // namespace folio

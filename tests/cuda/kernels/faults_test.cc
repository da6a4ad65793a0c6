// What is wrong with a kernel is found: by a result, an Error, a sanitizer or the end of the
// program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/gpu.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/kernels/kernels.h"
#include "tests/cuda/schedules.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

bool any_nan(const std::vector<float>& values) {
  for (float value : values)
    if (std::isnan(value)) return true;
  return false;
}

// In how many schedules run(fault) gives something else than run(Fault::none).
template <class F>
int schedules_that_show(Fault fault, F&& run) {
  int shown = 0;
  on_every_schedule([&] {
    const std::vector<float> right = run(Fault::none), wrong = run(fault);
    EXPECT_FALSE(any_nan(right));
    shown += any_nan(wrong) || right != wrong;
  });
  return shown;
}

std::vector<float> ones(size_t n) { return std::vector<float>(n, 1.0f); }

// ThreadSanitizer ends the program with this status after a race.
auto races = testing::ExitedWithCode(66);
template <class F>
void expect_race(F&& f) {
  EXPECT_EXIT(
      {
        f();
        std::exit(0);
      },
      races, "data race");
}

std::vector<float> sums(Fault fault) {
  DeviceBuffer<float> x(ones(512)), y(2);
  block_sums(x.data(), 512, y.data(), fault, test_stream());
  return y.read();
}

std::vector<float> reversed(Fault fault) {
  DeviceBuffer<float> x(ones(64)), y(64);
  reversed_in_warps(x.data(), 64, y.data(), fault, test_stream());
  return y.read();
}

std::vector<float> buffered(Fault fault) {
  DeviceBuffer<bfloat16> a(std::vector<bfloat16>(32 * 80, bfloat16(1.0f)));
  DeviceBuffer<bfloat16> b(std::vector<bfloat16>(16 * 80, bfloat16(1.0f)));
  DeviceBuffer<float> c(32 * 16);
  buffered_product(a.data(), b.data(), c.data(), 32, 16, 80, fault, test_stream());
  return c.read();
}

TEST(Faults, AMissingBarrierShowsAsNaN) {
  if (with_tsan) return expect_race([] { sums(Fault::missing_barrier); });
  EXPECT_GE(schedules_that_show(Fault::missing_barrier, sums), 2);
}

// What is overwritten too early shows only where a warp goes on while another has not read.
TEST(Faults, ABarrierMissingBeforeABufferIsFilledAgainShows) {
  if (with_tsan) return expect_race([] { buffered(Fault::missing_barrier); });
  EXPECT_GE(schedules_that_show(Fault::missing_barrier, buffered), 1);
}

TEST(Faults, AMissingWarpBarrierShowsAsNaN) {
  if (with_tsan) return expect_race([] { reversed(Fault::missing_warp_barrier); });
  EXPECT_EQ(schedules_that_show(Fault::missing_warp_barrier, reversed), schedule_count);
}

TEST(Faults, CopiesThatAreNotWaitedForAreNaN) {
  EXPECT_EQ(schedules_that_show(Fault::missing_copy_wait, buffered), schedule_count);
}

TEST(Faults, ThreadSanitizerFindsARacingSum) {
  auto sum = [](Fault fault) {
    DeviceBuffer<float> x(ones(32)), y(std::vector<float>{0});
    sum_all(x.data(), 32, y.data(), fault, test_stream());
    return y.read();
  };
  EXPECT_EQ(sum(Fault::none), std::vector<float>{32});
  if (with_tsan) expect_race([&] { sum(Fault::racing_sum); });
}

std::vector<float> exchange(Fault fault) {
  DeviceBuffer<float> x(ones(64)), y(64);
  exchanged(x.data(), y.data(), fault, test_stream());
  return y.read();
}

TEST(Faults, LanesThatDoNotMeetAreAnError) {
  for (auto [fault, why] : {
           std::pair{Fault::missing_lanes,
                     "lanes 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, "
                     "27, 29, 31 ended"},
           {Fault::other_mask, "with a mask of lanes 0-31"},
           {Fault::other_step, "__ballot_sync with a mask of lanes 0-31"},
           {Fault::absent_source, "which takes no part"},
           {Fault::unreached_barrier,
            "__syncthreads was not reached by all threads; warp 1, lanes "
            "0-31 ended"},
       }) {
    emulator::use(emulator::Schedule::forward);
    EXPECT_THAT([&] { exchange(fault); },
                ThrowsMessage<Error>(AllOf(HasSubstr("block (0, 0, 0)"), HasSubstr(why))));
    on_every_schedule([&] { EXPECT_THROW(exchange(fault), Error); });
    EXPECT_EQ(exchange(Fault::none), ones(64)) << "and the next launch is as ever";
  }
  EXPECT_THAT([&] { exchange(Fault::missing_lanes); },
              ThrowsMessage<Error>(HasSubstr("warp 0, lanes 0, 2, 4")));
}

TEST(Faults, AKernelThatStartsEarlyAndDoesNotWaitIsAnError) {
  DeviceBuffer<float> x(ones(4 * 100)), y(100);
  auto run = [&](Fault fault) {
    sums_of_four(x.data(), 100, y.data(), fault, test_stream());
    return y.read();
  };
  EXPECT_THAT([&] { run(Fault::missing_wait); },
              ThrowsMessage<Error>(HasSubstr("in 64 of 128 threads")));
  EXPECT_EQ(run(Fault::none), std::vector<float>(100, 4.0f));
}

TEST(Faults, MoreSharedMemoryThanThereIsIsAnError) {
  DeviceBuffer<float> y(1);
  auto use = [&](Fault fault) {
    use_shared(y.data(), fault, test_stream());
    y.read();
  };
  EXPECT_THAT([&] { use(Fault::too_much_static_shared); },
              ThrowsMessage<Error>(HasSubstr("more shared memory than a block may have")));
  EXPECT_THAT([&] { use(Fault::too_much_dynamic_shared); },
              ThrowsMessage<Error>(HasSubstr("53248 bytes of dynamic shared memory")));
}

TEST(FaultsDeathTest, AnIndexPastTheEndEndsTheProgram) {
  DeviceBuffer<float> x(ones(256)), y(2);
  EXPECT_DEATH(
      {
        block_sums(x.data(), 256 - 1, y.data(), Fault::none, test_stream());
        block_sums(x.data() + 64, 256, y.data(), Fault::past_the_end, test_stream());
        y.read();
      },
      "");
}

// Within what an allocation is rounded up to, only AddressSanitizer sees it.
TEST(FaultsDeathTest, AddressSanitizerFindsAnIndexPastTheEnd) {
  if (!with_asan) GTEST_SKIP() << "in the build with AddressSanitizer";
  DeviceBuffer<float> x(ones(255)), y(1);
  EXPECT_DEATH(
      {
        block_sums(x.data(), 255, y.data(), Fault::past_the_end, test_stream());
        y.read();
      },
      "block_sums_kernel");
}

TEST(FaultsDeathTest, UndefinedBehaviourSanitizerFindsAMisalignedVector) {
  if (!with_asan) GTEST_SKIP() << "in the build with UBSan";
  DeviceBuffer<float> x(ones(65)), y(16);
  EXPECT_DEATH(
      {
        sums_of_four(x.data(), 16, y.data(), Fault::misaligned, test_stream());
        y.read();
      },
      "misaligned address");
}

}  // namespace
}  // namespace folio

// How a job of several ranks ends when one of them dies, hangs or fails: in time, with a code that
// is not 0, one message of folio's, and no process left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/ranks/running_job.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

void expect_a_clear_end(RunningJob& job, const testing::Matcher<std::string>& message,
                        const std::string& allowed = "") {
  EXPECT_GT(job.end(), 0) << job.errors();
  std::vector<std::string> messages = job.messages();
  std::erase(messages, allowed);
  EXPECT_THAT(messages, ElementsAre(message)) << job.errors();
  EXPECT_THAT(job.left(), IsEmpty());
}

// "rank 1 on HOST (process 4711)..."
auto Names(int rank, pid_t process) {
  return AllOf(StartsWith("folio: rank " + std::to_string(rank) + " on "),
               HasSubstr(" (process " + std::to_string(process) + ")"));
}

TEST(Faults, AJobThatIsLeftAloneEndsInOrder) {
  RunningJob job(3, {"--sums=3"});
  EXPECT_EQ(job.end(), 0) << job.errors();
  EXPECT_EQ(job.errors(), "");
  EXPECT_THAT(job.left(), IsEmpty());
}

class FaultOf : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Rank, FaultOf, testing::Range(0, 3));

TEST_P(FaultOf, AKilledRankIsNamed) {
  RunningJob job(3);
  job.begin();
  ASSERT_GT(job.process(GetParam()), 0) << job.errors();
  ASSERT_EQ(kill(job.process(GetParam()), SIGKILL), 0);
  expect_a_clear_end(job, AllOf(Names(GetParam(), job.process(GetParam())), HasSubstr(" is gone"),
                                EndsWith("; last checkpoint: none")));
}

TEST_P(FaultOf, AStoppedRankIsSilentAndNamed) {
  RunningJob job(3, {"--timeout=3"});
  job.begin();
  ASSERT_GT(job.process(GetParam()), 0) << job.errors();
  ASSERT_EQ(kill(job.process(GetParam()), SIGSTOP), 0);
  // A rank 0 that mpirun wakes to end it may find the time to answer that.
  expect_a_clear_end(
      job, AllOf(Names(GetParam(), job.process(GetParam())), HasSubstr(" has been silent for 2 s")),
      GetParam() == 0 ? "folio: SIGTERM: stopping" : "");
}

TEST_P(FaultOf, AnErrorOfOneRankIsSaidWithItsName) {
  RunningJob job(3, {"--fail_on=" + std::to_string(GetParam())});
  expect_a_clear_end(job, AllOf(StartsWith("folio: rank " + std::to_string(GetParam()) + " on "),
                                HasSubstr("): this rank was told to fail; last")));
}

TEST(Faults, AnErrorOfAllRanksIsSaidOnceWithoutAName) {
  RunningJob job(3, {"--fail_on=all"});
  expect_a_clear_end(job, StartsWith("folio: this rank was told to fail; last"));
}

// Before the ranks have joined each of them finds it alone.
TEST(Faults, AWrongOptionIsSaidOnce) {
  RunningJob job(3, {"--bogus=1"});
  expect_a_clear_end(job, testing::StrEq("folio: --bogus is no option of this program"));
}

TEST(Faults, ARankThatLivesAndTakesNoPartIsNamed) {
  RunningJob job(3, {"--timeout=3", "--busy_on=2"});
  expect_a_clear_end(job, AllOf(StartsWith("folio: rank 0 on "),
                                HasSubstr("): all_reduce of float32 [100000]: nothing has come "
                                          "from rank 1, 2 for 3 s")));
}

}  // namespace
}  // namespace folio

#include "core/ranks/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "tests/message.h"

namespace folio {
namespace {

TEST(RankFacts, TellOfThisProcess) {
  RankFacts facts = this_process();
  EXPECT_EQ(facts.pid, getpid());
  EXPECT_FALSE(facts.host.empty());
  EXPECT_THAT(facts.build, testing::MatchesRegex("[0-9a-f]{16,}"));  // the linker's id
  EXPECT_EQ(facts.build, this_process().build);
  RankFacts gathered = gather_facts(*one_process(cpu)).at(0);
  EXPECT_EQ(named(3, gathered),
            "rank 3 on " + facts.host + " (process " + std::to_string(getpid()) + ")");
  EXPECT_EQ(gathered.build, facts.build);
}

// As mpirun binds a rank: to fewer cores than there are.
TEST(RankFacts, CountTheCoresThatAreAllowed) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(this_process().cores, CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (int core = 0; CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(this_process().cores, 1);
  sched_setaffinity(0, sizeof before, &before);
}

TEST(RankFacts, AnotherBuildIsRefusedByItsName) {
  std::vector<RankFacts> ranks = {{"node1", 7, 1, "aa"}, {"node1", 8, 1, "aa"}};
  check_same_build(ranks);
  ranks.push_back({"node2", 9, 1, "ab"});
  EXPECT_EQ(message_of([&] { check_same_build(ranks); }),
            "rank 2 on node2 (process 9) runs another build of folio than rank 0 on node1 (process "
            "7): put the same program on both, for what they compute would differ");
}

}  // namespace
}  // namespace folio

#include "core/ranks/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/ranks/communicator.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables](const char* name) -> std::optional<std::string> {
    auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}
Launch launched(const std::map<std::string, std::string>& variables) {
  return launch_of(environment_of(variables));
}

TEST(Launch, AProcessByItselfIsOneRank) {
  EXPECT_FALSE(launched({}).by_mpi);
  EXPECT_FALSE(launched({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "1"}}).by_mpi);
  std::unique_ptr<Communicator> alone = join_ranks(cpu, {});
  EXPECT_EQ(alone->size(), 1);
  EXPECT_EQ(alone->rank(), 0);
}

TEST(Launch, MpirunAndPmixAreSeen) {
  Launch open_mpi =
      launched({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}, {"PMIX_RANK", "3"}});
  EXPECT_TRUE(open_mpi.by_mpi);
  EXPECT_EQ(open_mpi.size, 4);
  Launch slurm = launched({{"SLURM_JOB_ID", "7"},
                           {"SLURM_NTASKS", "8"},
                           {"SLURM_STEP_NUM_TASKS", "3"},
                           {"PMIX_RANK", "1"}});
  EXPECT_TRUE(slurm.by_mpi);
  EXPECT_EQ(slurm.size, 3);
  EXPECT_EQ(launched({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}}).size, 2);
}

TEST(Launch, ARankIsKnownBeforeTheRanksJoin) {
  EXPECT_EQ(launched_rank(environment_of({})), 0);
  EXPECT_EQ(launched_rank(environment_of({{"OMPI_COMM_WORLD_RANK", "3"}})), 3);
  EXPECT_EQ(launched_rank(environment_of({{"PMIX_RANK", "12"}})), 12);
  EXPECT_EQ(launched_rank(environment_of({{"PMI_RANK", "1"}})), 1);
}

TEST(Launch, SlurmsTasksThatMpiDoesNotJoinAreRefused) {
  EXPECT_THAT(message_of([] {
                launched({{"SLURM_JOB_ID", "7"}, {"SLURM_NTASKS", "4"}});
              }),
              AllOf(HasSubstr("4 tasks"), HasSubstr("srun --mpi=pmix folio train")));
  EXPECT_THAT(message_of([] {
                launched({{"SLURM_JOB_ID", "7"}, {"PMI_RANK", "0"}, {"PMI_SIZE", "2"}});
              }),
              AllOf(HasSubstr("2 processes through PMI"), HasSubstr("srun --mpi=pmix")));
}

}  // namespace
}  // namespace folio

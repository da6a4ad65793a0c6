#include "core/cuda/visible_gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::optional<std::string> visible(const std::map<std::string, const char*>& variables) {
  return cuda::visible_gpu([&](const char* name) -> const char* {
    auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second;
  });
}

TEST(VisibleGpu, AProcessThatNobodyNumbersTakesWhatIsThere) {
  EXPECT_EQ(visible({}), std::nullopt);
  EXPECT_EQ(visible({{"CUDA_VISIBLE_DEVICES", "2,3"}}), std::nullopt);
}

TEST(VisibleGpu, EachProcessOfAHostHasItsOwn) {
  EXPECT_EQ(visible({{"OMPI_COMM_WORLD_LOCAL_RANK", "3"}}), "3");
  EXPECT_EQ(visible({{"MPI_LOCALRANKID", "1"}}), "1");
  EXPECT_EQ(visible({{"SLURM_LOCALID", "0"}}), "0");
  EXPECT_EQ(visible({{"LOCAL_RANK", "7"}}), "7");
  EXPECT_EQ(visible({{"OMPI_COMM_WORLD_LOCAL_RANK", "1"}, {"SLURM_LOCALID", "0"}}), "1")
      << "mpirun within a task of Slurm";
}

TEST(VisibleGpu, OfThoseThatMayBeSeen) {
  EXPECT_EQ(visible({{"LOCAL_RANK", "1"}, {"CUDA_VISIBLE_DEVICES", "4,GPU-5a,6"}}), "GPU-5a");
  EXPECT_EQ(visible({{"LOCAL_RANK", "2"}, {"CUDA_VISIBLE_DEVICES", "4,GPU-5a,6"}}), "6");
  EXPECT_EQ(visible({{"SLURM_LOCALID", "2"}, {"CUDA_VISIBLE_DEVICES", "5"}}), std::nullopt)
      << "Slurm has given each task its own";
}

TEST(VisibleGpu, TooFewAreAnError) {
  EXPECT_THAT(message_of([] {
                visible({{"LOCAL_RANK", "2"}, {"CUDA_VISIBLE_DEVICES", "0,1"}});
              }),
              HasSubstr("CUDA_VISIBLE_DEVICES=0,1 shows 2 GPUs, and this is process 2"));
  for (const char* wrong : {"", "-1", "x", "1 "})
    EXPECT_THAT(message_of([&] {
                  visible({{"LOCAL_RANK", wrong}});
                }),
                HasSubstr("LOCAL_RANK="))
        << wrong;
}

}  // namespace
}  // namespace folio

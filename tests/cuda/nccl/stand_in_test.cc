// The emulated NCCL itself: that it is as strict as NCCL is where a caller goes wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <thread>

#include "tests/collectives.h"
#include "tests/cuda/device_buffer.h"
#include "tests/message.h"
#include "tests/on_ranks.h"

namespace folio {
namespace {

using collectives::real_numbers;
using testing::HasSubstr;

// One step of what the communicator was asked for.
ncclResult_t state_of(ncclComm_t comm) {
  ncclResult_t state = ncclInternalError;
  EXPECT_EQ(ncclCommGetAsyncError(comm, &state), ncclSuccess);
  return state;
}

ncclComm_t begin(const Rendezvous::Place& place) {
  Rendezvous rendezvous(place, std::chrono::seconds(60));
  ncclUniqueId id{};
  if (place.rank == 0) {
    EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  }
  rendezvous.gather({id.internal, sizeof id.internal})[0].copy(id.internal, sizeof id.internal);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  EXPECT_EQ(ncclCommInitRankConfig(&comm, place.size, id, place.rank, &config), ncclInProgress);
  return comm;
}

void settle(ncclComm_t comm) {
  while (state_of(comm) == ncclInProgress) {
  }
}

ncclResult_t all_reduce(DeviceBuffer<float>& x, size_t n, ncclComm_t comm) {
  return ncclAllReduce(x.data(), x.data(), n, ncclFloat32, ncclSum, comm, test_stream());
}

TEST(NcclStandIn, ABusyCommunicatorTakesNothing) {
  ncclComm_t comm = begin({0, 1, "", 0});
  DeviceBuffer<float> x(std::vector<float>{1, 2, 3});
  EXPECT_EQ(all_reduce(x, 3, comm), ncclInvalidArgument) << "is still being made";
  settle(comm);
  EXPECT_EQ(all_reduce(x, 3, comm), ncclInProgress);
  EXPECT_EQ(all_reduce(x, 3, comm), ncclInvalidArgument) << "still has to queue the first";
  EXPECT_EQ(state_of(comm), ncclInProgress);
  EXPECT_EQ(state_of(comm), ncclSuccess);
  EXPECT_EQ(all_reduce(x, 3, comm), ncclInProgress);
  settle(comm);
  EXPECT_EQ(x.read(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(ncclCommFinalize(comm), ncclInProgress);
  settle(comm);
  EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
}

TEST(NcclStandIn, OnlyTheDevicesMemoryIsTaken) {
  ncclComm_t comm = begin({0, 1, "", 0});
  settle(comm);
  float host[3] = {};
  EXPECT_EQ(ncclAllReduce(host, host, 3, ncclFloat32, ncclSum, comm, test_stream()),
            ncclInvalidArgument);
  DeviceBuffer<float> x(64);
  EXPECT_EQ(all_reduce(x, 64, comm), ncclInProgress);
  settle(comm);
  EXPECT_EQ(all_reduce(x, 1 << 20, comm), ncclInvalidArgument) << "past its end";
  EXPECT_EQ(ncclCommAbort(comm), ncclSuccess);
}

TEST(NcclStandIn, RanksThatAskForOtherThingsAreNamed) {
  on_ranks({2}, [](const Rendezvous::Place& place) {
    ncclComm_t comm = begin(place);
    settle(comm);
    DeviceBuffer<float> x(std::vector<float>{1, 2, 3, 4});
    EXPECT_EQ(all_reduce(x, place.rank == 0 ? 3 : 4, comm), ncclInProgress);
    settle(comm);
    if (place.rank == 0) {
      EXPECT_THAT(message_of([&] { x.read(); }),
                  HasSubstr("rank 1 asks for all_reduce of 16 bytes of type 7, root 0 and rank 0 "
                            "for all_reduce of 12 bytes"));
      ncclCommAbort(comm);
      return;
    }
    std::jthread watching([&] {
      while (state_of(comm) == ncclSuccess) std::this_thread::yield();
      EXPECT_EQ(state_of(comm), ncclRemoteError) << "rank 0 has ended";
      ncclCommAbort(comm);
    });
    x.read();  // until it is aborted
  });
}

TEST(NcclStandIn, SumsAreTakenByRankInFloat32) {
  on_ranks({3}, [](const Rendezvous::Place& place) {
    ncclComm_t comm = begin(place);
    settle(comm);
    DeviceBuffer<float> x(real_numbers<float>(1000, place.rank));
    EXPECT_EQ(all_reduce(x, 1000, comm), ncclInProgress);
    settle(comm);
    const std::vector<float> a = real_numbers<float>(1000, 0), b = real_numbers<float>(1000, 1),
                             c = real_numbers<float>(1000, 2);
    std::vector<float> sum(1000);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = (a[i] + b[i]) + c[i];
    EXPECT_EQ(x.read(), sum);
    EXPECT_EQ(ncclCommFinalize(comm), ncclInProgress);
    settle(comm);
    ncclCommDestroy(comm);
  });
}

TEST(NcclStandIn, AnEventIsReachedOnceItsStreamIsThere) {
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaSuccess) << "was never recorded";
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(cudaEventRecord(event, test_stream()), cudaSuccess);
    EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
    ASSERT_EQ(cudaStreamSynchronize(test_stream()), cudaSuccess);
    EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
  }
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event), cudaErrorInvalidResourceHandle);
}

}  // namespace
}  // namespace folio

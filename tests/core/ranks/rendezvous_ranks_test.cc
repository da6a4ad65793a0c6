#include "core/ranks/rendezvous_ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ranks/cuda_ranks.h"
#include "tests/collectives.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/on_ranks.h"

namespace folio {
namespace {

using testing::HasSubstr;

void on_communicators(std::initializer_list<int> sizes,
                      const std::function<void(Communicator&)>& body) {
  on_ranks(sizes, [&](const Rendezvous::Place& place) {
    const auto ranks = rendezvous_ranks(test_device(), place, {});
    EXPECT_EQ(ranks->rank(), place.rank);
    EXPECT_EQ(ranks->size(), place.size);
    body(*ranks);
  });
}

TEST(RendezvousRanks, AllReduce) {
  on_communicators({1, 3}, collectives::all_reduce<float>);
  on_communicators({2}, collectives::all_reduce<double>);
}

TEST(RendezvousRanks, ReduceScatter) {
  on_communicators({1, 3}, collectives::reduce_scatter<float>);
}

TEST(RendezvousRanks, AllGather) {
  on_communicators({1, 3}, [](Communicator& ranks) {
    collectives::all_gather<float>(ranks);
    collectives::all_gather<int32_t>(ranks);
  });
}

TEST(RendezvousRanks, Broadcast) { on_communicators({1, 3}, collectives::broadcast<float>); }

TEST(RendezvousRanks, OtherWorkOfTheDeviceTakesItsTurn) {
  on_communicators({1, 3}, [](Communicator& ranks) {
    collectives::between_other_work(ranks);
    collectives::behind_other_work(ranks);
  });
}

TEST(RendezvousRanks, Several) {
  on_communicators({2}, [](Communicator& ranks) {
    collectives::several_pending(ranks);
    collectives::dropped(ranks);
    collectives::gather(ranks);
  });
}

TEST(RendezvousRanks, TheSameBytesTwiceAndOnAllRanks) {
  on_communicators({3}, [](Communicator& ranks) {
    collectives::same_bytes<float>(ranks);
    collectives::same_bytes<double>(ranks);
  });
}

TEST(RendezvousRanks, WhatDoesNotFitIsNamedBeforeAnythingIsSent) {
  const auto ranks = rendezvous_ranks(test_device(), {0, 1, "", 0}, {});
  const Array f32 = full({4}, 1, DType::f32, test_device());
  const Array bf16 = full({4}, 1, DType::bf16, test_device());
  EXPECT_THAT(message_of([&] { ranks->all_reduce(bf16); }),
              HasSubstr("all_reduce: sums float32 or float64, not bfloat16"));
  EXPECT_THAT(message_of([&] { ranks->reduce_scatter(f32, f32.slice(0, 3)); }),
              HasSubstr("reduce_scatter: x float32 [4] is not the shards float32 [3] of 1 ranks"));
  EXPECT_THAT(message_of([&] { ranks->all_gather(f32, bf16); }),
              HasSubstr("all_gather: x bfloat16 [4] is not the shards float32 [4]"));
  EXPECT_THAT(message_of([&] { ranks->broadcast(f32, 1); }), HasSubstr("root 1 is none of 1"));
}

#if !defined(FOLIO_NCCL)
TEST(CudaRanks, ABuildWithoutThemSaysWhatToInstall) {
  on_ranks({2}, [](const Rendezvous::Place& place) {
    EXPECT_THAT(message_of([&] {
                  cuda_ranks(test_device(), rendezvous_ranks(test_device(), place, {}), {});
                }),
                HasSubstr("scripts/install-nccl-headers"));
  });
}
#endif

TEST(CudaRanks, OneRankAloneNeedsNoNccl) {
  auto ranks = cuda_ranks(test_device(), one_process(test_device()), {});
  EXPECT_EQ(ranks->size(), 1);
  collectives::all_reduce<float>(*ranks);
}

}  // namespace
}  // namespace folio

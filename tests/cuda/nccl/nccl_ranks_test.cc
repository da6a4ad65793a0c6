// The Communicator over NCCL: on the emulated GPU its stand-in, with several ranks of one GPU; on
// GPUs NCCL itself, with one rank and with one a GPU.
#include "core/cuda/nccl/nccl_ranks.h"

#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <thread>

#include "core/cuda/nccl/library.h"
#include "core/ranks/rendezvous_ranks.h"
#include "tests/collectives.h"
#include "tests/message.h"
#include "tests/on_ranks.h"
#if defined(FOLIO_HAS_EMULATOR)
#include "tests/emulated_backend.h"
#endif

namespace folio {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

#if defined(FOLIO_HAS_EMULATOR)
Device gpu() { return emulated_device(); }
constexpr bool emulated = true;
int gpus() { return 3; }  // of one GPU there are as many as one likes
#else
Device gpu() { return device_named("cuda"); }
constexpr bool emulated = false;
int gpus() {
  if (const auto place = this_rank()) {
    setenv("LOCAL_RANK", std::to_string(place->rank).c_str(), 1);
    gpu();  // takes its own, which is to be CUDA's first call
    return place->size;
  }
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}
#endif

std::unique_ptr<Communicator> join(const Rendezvous::Place& place, seconds timeout = seconds(120)) {
  const Device device = gpu();  // is this process's before NCCL is asked
  return nccl_ranks(device, rendezvous_ranks(device, place, {}), {.timeout = timeout});
}

// Longer than all ranks take to make a communicator.
constexpr seconds soon{emulated ? 2 : 20};

class NcclRanks : public testing::Test {
 protected:
  void SetUp() override {
    if (gpus() == 0) GTEST_SKIP() << "no CUDA GPU";
    const std::string without = error_of([] { cuda::nccl(); });
    if (!without.empty()) GTEST_SKIP() << without;
  }

  // With one rank, and with several where there are as many GPUs.
  static void on_communicators(const std::function<void(Communicator&)>& body) {
    auto run = [&](const Rendezvous::Place& place) {
      const auto ranks = join(place);
      EXPECT_EQ(ranks->rank(), place.rank);
      EXPECT_EQ(ranks->size(), place.size);
      EXPECT_EQ(ranks->device(), gpu());
      body(*ranks);
    };
    if (gpus() == 1)
      on_ranks({1}, run);
    else
      on_ranks({1, gpus()}, run);
  }

  void need_several() {
    if (gpus() < 2) GTEST_SKIP() << "needs two GPUs";
  }
};

TEST_F(NcclRanks, AllReduce) {
  on_communicators([](Communicator& ranks) {
    collectives::all_reduce<float>(ranks);
    collectives::all_reduce<double>(ranks);
  });
}

TEST_F(NcclRanks, ReduceScatter) {
  on_communicators([](Communicator& ranks) {
    collectives::reduce_scatter<float>(ranks);
    collectives::reduce_scatter<double>(ranks);
  });
}

TEST_F(NcclRanks, AllGather) {
  on_communicators([](Communicator& ranks) {
    collectives::all_gather<float>(ranks);
    collectives::all_gather<int32_t>(ranks);
  });
}

TEST_F(NcclRanks, Broadcast) {
  on_communicators([](Communicator& ranks) {
    collectives::broadcast<double>(ranks);
    collectives::broadcast<int32_t>(ranks);
  });
}

TEST_F(NcclRanks, OtherWorkOfTheDeviceTakesItsTurn) {
  on_communicators([](Communicator& ranks) {
    collectives::between_other_work(ranks);
    collectives::behind_other_work(ranks);
  });
}

TEST_F(NcclRanks, SeveralArePendingAtOnce) { on_communicators(collectives::several_pending); }

TEST_F(NcclRanks, MemoryOfAPendingThatWasDroppedIsNotUsedBeforeItIsDone) {
  on_communicators(collectives::dropped);
}

TEST_F(NcclRanks, TheSameBytesTwiceAndOnAllRanks) {
  on_communicators([](Communicator& ranks) {
    collectives::same_bytes<float>(ranks);
    collectives::same_bytes<double>(ranks);
  });
}

TEST_F(NcclRanks, Gather) { on_communicators(collectives::gather); }

// The host asks for a collective and goes on; only who reads the result waits.
TEST_F(NcclRanks, TheHostDoesNotWait) {
  if (!emulated) GTEST_SKIP() << "a GPU may be faster than the host";
  on_ranks({2}, [](const Rendezvous::Place& place) {
    const auto ranks = join(place);
    Array x = full({1000}, 1, DType::f32, gpu());
    Pending pending = ranks->all_reduce(x);
    EXPECT_FALSE(pending.done());
    pending.wait();
    Pending other = ranks->all_reduce(x);
    EXPECT_FALSE(other.done());
    other.wait();
    EXPECT_EQ(to_vector<float>(x), std::vector<float>(1000, 4));
  });
}

// What a call says after the others have failed it; the array's values are worth nothing then.
std::string failure_of(Communicator& ranks) {
  Array x = full({1000}, 1, DType::f32, gpu());
  return message_of([&] {
    ranks.all_reduce(x).wait();
    to_vector<float>(x);  // waits for the device, which waits for the other ranks
    ranks.progress();
  });
}

TEST_F(NcclRanks, ARankThatHangsEndsTheWaitOfTheOther) {
  need_several();
  if (const auto place = this_rank()) {
    const auto ranks = join(*place, place->rank == 1 ? seconds(600) : soon);
    if (place->rank == 1) {  // takes no part, until the other has ended
      Rendezvous again(*place, seconds(120));
      again.gather("");
      raise(SIGKILL);
    }
    const std::string message = failure_of(*ranks);
    EXPECT_THAT(message, AllOf(HasSubstr(fmt::format("rank {} of {}", place->rank, place->size)),
                               HasSubstr("all_reduce of float32 [1000]"),
                               HasSubstr(fmt::format("took no part for {} s", soon.count())),
                               HasSubstr("comm_timeout")));
    for (auto& call : std::vector<std::function<void()>>{
             [&] { ranks->progress(); }, [&] { ranks->gather(""); },
             [&] { ranks->broadcast(full({1}, 1, DType::f32, gpu()), 0); }})
      EXPECT_EQ(message_of(call), message) << "every call from then on";
    Rendezvous again(*place, seconds(120));
    again.gather("");
    return;
  }
  // Of more, one would wait out its time, and the others could find that one gone.
  const std::vector<RankEnd> ends = run_ranks(2);
  EXPECT_TRUE(ends[0].ok()) << ends[0].output;
  EXPECT_EQ(ends[1].status, SIGKILL) << ends[1].output;
}

// A host that is told when a rank is lost, by whoever has `lost`.
class ToldHost : public Communicator {
 public:
  explicit ToldHost(std::unique_ptr<Communicator> host) : host_(std::move(host)) {}
  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  Device device() const override { return host_->device(); }
  Pending all_reduce(Array x) override { return host_->all_reduce(x); }
  Pending reduce_scatter(Array x, Array shard) override { return host_->reduce_scatter(x, shard); }
  Pending all_gather(Array shard, Array x) override { return host_->all_gather(shard, x); }
  Pending broadcast(Array x, int root) override { return host_->broadcast(x, root); }
  void progress() override { host_->progress(); }
  std::vector<std::string> gather(const std::string& mine) override { return host_->gather(mine); }
  void on_lost(std::function<void(const std::string& why)> told) override { lost = told; }

  std::function<void(const std::string& why)> lost;

 private:
  std::unique_ptr<Communicator> host_;
};

TEST_F(NcclRanks, WhatTheHostSaysOfALostRankEndsTheWait) {
  need_several();
  if (const auto place = this_rank()) {
    const Communicator::Options options{.timeout = seconds(600)};
    auto host = std::make_unique<ToldHost>(rendezvous_ranks(gpu(), *place, options));
    ToldHost& told = *host;
    const auto ranks = nccl_ranks(gpu(), std::move(host), options);
    if (place->rank == 0) {  // the others take no part
      std::jthread heartbeat([&] { told.lost("rank 1 of 9 (on there) has ended"); });
      EXPECT_EQ(failure_of(*ranks), "rank 1 of 9 (on there) has ended");
    }
    Rendezvous again(*place, seconds(120));
    again.gather("");
    if (place->rank != 0) told.lost("over");
    return;
  }
  for (const RankEnd& end : run_ranks(gpus())) EXPECT_TRUE(end.ok()) << end.output;
}

TEST_F(NcclRanks, ARankThatIsKilledIsFoundLongBeforeTheTimeout) {
  need_several();
  if (const auto place = this_rank()) {
    const auto ranks = join(*place, seconds(600));
    if (place->rank == 1) raise(SIGKILL);
    // NCCL finds that a connection broke, the rendezvous whose it was.
    EXPECT_THAT(failure_of(*ranks),
                AllOf(HasSubstr("rank 1 of"), HasSubstr("(on "), HasSubstr(") has ended")));
    return;
  }
  const std::vector<RankEnd> ends = run_ranks(gpus());
  for (size_t rank = 0; rank < ends.size(); ++rank)
    EXPECT_TRUE(rank == 1 || ends[rank].ok()) << ends[rank].output;
}

// Where nobody says which rank it was, NCCL's word has to do.
TEST_F(NcclRanks, ARankThatIsKilledIsFoundByNcclAlone) {
  need_several();
  if (const auto place = this_rank()) {
    const Communicator::Options options{.timeout = seconds(600)};
    auto host = std::make_unique<ToldHost>(rendezvous_ranks(gpu(), *place, options));
    const auto ranks = nccl_ranks(gpu(), std::move(host), options);
    if (place->rank == 1) raise(SIGKILL);
    EXPECT_THAT(failure_of(*ranks),
                AllOf(HasSubstr(fmt::format("rank {} of 2: NCCL: all_reduce", place->rank)),
                      HasSubstr("remote process exited"), HasSubstr("its own output says why")));
    return;
  }
  EXPECT_TRUE(run_ranks(2)[0].ok());
}

TEST_F(NcclRanks, ARankThatGivesUpDoesNotWaitForTheOthers) {
  need_several();
  if (const auto place = this_rank()) {
    if (place->rank == 1) {
      EXPECT_EQ(message_of([&] {
                  const auto ranks = join(*place, seconds(600));
                  Array x = full({1000}, 1, DType::f32, gpu());
                  Pending pending = ranks->all_reduce(x);
                  fail("the disk is full");
                }),
                "the disk is full");
      return;
    }
    const auto ranks = join(*place, seconds(600));
    EXPECT_THAT(failure_of(*ranks), AllOf(HasSubstr("rank 1 of"), HasSubstr("gave up")));
    return;
  }
  for (const RankEnd& end : run_ranks(gpus())) EXPECT_TRUE(end.ok()) << end.output;
}

TEST_F(NcclRanks, ARankThatDoesNotComeIsWaitedForNoLongerThanTheTimeout) {
  need_several();
  if (const auto place = this_rank()) {
    auto host = rendezvous_ranks(gpu(), *place, {});
    if (place->rank == 1) {  // as if it had begun: it has NCCL, and is given the id
      host->gather("NCCL " + cuda::nccl_version());
      host->gather("");
      message_of([&] { host->gather(""); });  // until another gives up
      return;
    }
    EXPECT_THAT(message_of([&] { nccl_ranks(gpu(), std::move(host), {.timeout = soon}); }),
                AllOf(HasSubstr("making a communicator"), HasSubstr("took no part for")));
    return;
  }
  for (const RankEnd& end : run_ranks(2)) EXPECT_TRUE(end.ok()) << end.output;
}

TEST_F(NcclRanks, AnotherNcclOrNoneIsNamedOnAllRanks) {
  need_several();
  if (const auto place = this_rank()) {
    auto host = rendezvous_ranks(gpu(), *place, {});
    if (place->rank == 1) {
      host->gather("no NCCL: libnccl.so.2: cannot open");
      return;
    }
    EXPECT_THAT(message_of([&] { nccl_ranks(gpu(), std::move(host), {}); }),
                HasSubstr("rank 1 no NCCL: libnccl.so.2: cannot open: all need the same"));
    return;
  }
  for (const RankEnd& end : run_ranks(2)) EXPECT_TRUE(end.ok()) << end.output;
}

TEST_F(NcclRanks, TheSwitchTakesNoSums) {
  ASSERT_EQ(cuda::nccl_version().substr(0, 2), "2.");
  EXPECT_STREQ(std::getenv("NCCL_NVLS_ENABLE"), "0");
}

TEST_F(NcclRanks, ARecordingHasNoPartOfOtherRanks) {
  on_ranks({1}, [](const Rendezvous::Place& place) {
    const auto ranks = join(place);
    Array x = full({10}, 1, DType::f32, gpu());
    EXPECT_THAT(
        message_of([&] { backend(x)->recorder.record([&] { ranks->all_reduce(x).wait(); }); }),
        HasSubstr("all_reduce of float32 [10]: a recording has no part"));
  });
}

}  // namespace
}  // namespace folio

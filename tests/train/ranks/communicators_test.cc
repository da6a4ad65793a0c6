// Training over the other kinds of communicators than MPI's: over TCP on the CPU, over NCCL's
// stand-in on the emulated GPU. Each rank trains by itself first, and holds the ranks' run to it.
#include <gtest/gtest.h>

#include "core/ranks/rendezvous_ranks.h"
#include "tests/on_ranks.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"
#if defined(FOLIO_HAS_EMULATOR)
#include "core/cuda/nccl/nccl_ranks.h"
#include "tests/emulated_backend.h"
#endif

namespace folio {
namespace {

std::unique_ptr<Communicator> join(const Rendezvous::Place& place) {
  std::unique_ptr<Communicator> host = rendezvous_ranks(test_device(), place, {});
#if defined(FOLIO_HAS_EMULATOR)
  if (test_device() == emulated_device()) return nccl_ranks(test_device(), std::move(host), {});
#endif
  return host;
}

struct Recorder : Observer {
  std::vector<double> all;
  void evaluated(const Run&, const Losses& losses) override {
    all.push_back(losses.train);
    all.push_back(losses.val);
  }
  void stepped(const Run&, const Step& step) override { all.push_back(step.loss); }
};

std::vector<double> losses_of(TrainOptions options, const std::string& out, Communicator* ranks) {
  options.out_dir = out;
  Run run(options, {}, ranks);
  Recorder observer;
  train(run, observer);
  return observer.all;
}

TEST(Communicators, TrainAsOneProcessDoes) {
  on_ranks({3}, [](const Rendezvous::Place& place) {
    const std::unique_ptr<Communicator> ranks = join(place);
    const TemporaryFolder folder;
    TrainOptions options = tiny_options(folder);
    options.gradient_accumulation_steps = 6;
    options.max_iters = 5;
    for (const char* optimizer : {"adamw", "muon"})
      for (int64_t stage : {0, 1}) {
        options.optimizer = optimizer;
        options.zero_stage = stage;
        const std::string name = fmt::format("{}{}", optimizer, stage);
        const std::vector<double> alone = losses_of(options, folder / name, nullptr);
        const std::vector<double> together =
            losses_of(options, folder / name + "together", ranks.get());
        ASSERT_EQ(together.size(), alone.size());
        for (size_t i = 0; i < alone.size(); ++i)
          EXPECT_NEAR(together[i], alone[i], 1e-5) << name << ", " << i;
        // Saved by rank 0 alone.
        EXPECT_EQ(std::filesystem::exists(folder / name + "together/last.h5"), place.rank == 0);
      }
  });
}

}  // namespace
}  // namespace folio

// Device memory that runs out in the middle of an iteration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

#include "checkpoint/model_file.h"
#include "tests/device.h"
#include "tests/emulated_backend.h"
#include "tests/message.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

#if defined(FOLIO_HAS_EMULATOR)
namespace fs = std::filesystem;

std::string bytes_of_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Runs out of memory at the nth Array of iteration `at`, and keeps the files as they were then.
class FailingAt : public Observer {
 public:
  FailingAt(int64_t at, int64_t nth) : at_(at), nth_(nth) {}
  void stepped(const folio::Run& run, const Step& step) override {
    if (step.iter + 1 != at_) return;
    best = bytes_of_file(best_checkpoint(run.options.out_dir));
    last = bytes_of_file(last_checkpoint(run.options.out_dir));
    failure_.emplace(nth_);
  }
  std::string best, last;

 private:
  int64_t at_, nth_;
  std::optional<OutOfEmulatedMemory> failure_;
};

struct Place {
  std::string name;
  int64_t nth;   // Array of the iteration
  bool updates;  // the weights may be half updated: nothing is saved
};

// Where in an iteration the Arrays lie that it asks for.
std::vector<Place> places_in_an_iteration(folio::Run& run) {
  train_step(run);  // the first, which makes the moments
  auto count = [](auto&& part) {
    const int64_t before = emulated_allocations();
    part();
    return emulated_allocations() - before;
  };
  const TrainOptions& options = run.options;
  Tensor loss;
  Array losses;
  const int64_t forward = count([&] {
    const Batch batch =
        run.batches.next(options.batch_size, options.model.block_size, run.model->context().device);
    loss = run.model->loss(batch.x, batch.y, 1);
  });
  const int64_t backward = count([&] { loss.backward(); });
  run.optimizer->zero_grad();
  const int64_t gradients = count([&] { losses = accumulate_gradients(run); });
  const int64_t all = gradients + count([&] { update(run, losses); });
  return {{"the first micro-batch's forward", forward / 2, false},
          {"the first micro-batch's backward", 1 + forward + backward / 2, false},
          {"the last micro-batch's backward", gradients, false},
          {"the gradients' norm", gradients + 1, false},
          {"the optimiser's update", all, true}};
}

class OutOfMemory : public testing::Test {
 protected:
  void SetUp() override {
    if (test_device() != emulated_device()) GTEST_SKIP() << "the emulated device alone can fail so";
    options.max_iters = 10;
  }
  void train_to_the_end() {
    Observer silent;
    folio::Run run(options, {});
    train(run, silent);
  }

  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
};

TEST_F(OutOfMemory, InAnIterationLeavesAStateThatGoesOnToTheSameBytes) {
  const fs::path best = best_checkpoint(options.out_dir), last = last_checkpoint(options.out_dir);
  train_to_the_end();
  const std::string expected_best = bytes_of_file(best), expected_last = bytes_of_file(last);
  folio::Run another(options, {});
  constexpr int64_t at = 6;  // between two evaluations, of iterations 4 and 8
  for (const Place& place : places_in_an_iteration(another)) {
    SCOPED_TRACE("in " + place.name);
    fs::remove_all(options.out_dir);
    {
      FailingAt failing(at, place.nth);
      folio::Run run(options, {});
      EXPECT_THAT(message_of([&] { train(run, failing); }),
                  testing::ContainsRegex("out of memory: [0-9]+ bytes asked for, [0-9]+ in use, "
                                         "and 0 left of the 4294967296 of cuda; make batch_size "
                                         "or block_size smaller"));
      EXPECT_EQ(run.iter, at);
      EXPECT_TRUE(bytes_of_file(best) == failing.best);
      EXPECT_EQ(bytes_of_file(last) == failing.last, place.updates);
    }
    EXPECT_EQ(load(last).attribute<int64_t>("iter_num"), place.updates ? 4 : at);
    options.init_from = "resume";
    train_to_the_end();
    options.init_from = "scratch";
    EXPECT_TRUE(bytes_of_file(best) == expected_best);
    EXPECT_TRUE(bytes_of_file(last) == expected_last);
  }
}
#endif

}  // namespace
}  // namespace folio

// A run that PyTorch began goes on here: against the losses that PyTorch has on the same batches
// (tests/reference/make_nanogpt.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "autograd/ops.h"
#include "tests/paths.h"
#include "tests/reference/values.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using testing::AllOf, testing::HasSubstr, testing::Not;

constexpr int64_t B = 4, T = 16, V = 11, micros = 2, before = 30;
const std::string fixture = source_path("tests/reference/nanogpt.pt");

// make_nanogpt.py's CONFIG.
TrainOptions nanogpt_options(const TemporaryFolder& folder) {
  TrainOptions o;
  o.device = name_of(test_device());
  std::string text;
  for (int i = 0; i < 1000; ++i) text += char('a' + 3 * i % V);
  std::filesystem::path input = folder / "input.txt";
  std::ofstream(input) << text;
  o.data_dir = folder / "datasets";
  o.dataset = "counting";
  if (!std::filesystem::exists(o.data_dir))
    prepare({.name = o.dataset, .input = input.string(), .data_dir = o.data_dir});
  o.out_dir = folder / "out";
  o.init_from = fixture;
  o.batch_size = B;
  o.gradient_accumulation_steps = micros;
  o.learning_rate = 3e-2;
  o.weight_decay = 0.2;
  o.beta2 = 0.99;
  o.warmup_iters = 10;
  o.lr_decay_iters = 50;
  o.min_lr = 3e-3;
  o.max_iters = 50;
  o.eval_interval = 10;
  o.eval_iters = 2;
  return o;
}

// make_nanogpt.py's batch(micro).
Batch batch(int64_t micro) {
  std::vector<int32_t> starts = reference::tokens(uint64_t(5000 + micro), B, V), x, y;
  for (int32_t start : starts) {
    for (int t = 0; t < T; ++t) {
      x.push_back((start + 3 * t) % V);
      y.push_back((start + 3 * t + 3) % V);
    }
  }
  return {to_array(x, {B, T}), to_array(y, {B, T})};
}

double step(folio::Run& run) {
  double mean = 0;
  for (int64_t micro = 0; micro < micros; ++micro) {
    Batch given = batch(run.iter * micros + micro);
    Tensor loss = scale(run.model->loss(given.x, given.y), 1.0 / micros);
    loss.backward();
    mean += item(loss.array());
  }
  update(run);
  ++run.iter;
  return mean;
}

std::vector<double> expected_losses() {
  std::ifstream in(source_path("tests/reference/nanogpt.json"));
  return nlohmann::json::parse(in).at("losses_after").get<std::vector<double>>();
}

// The largest distance to PyTorch's next twenty losses.
double distance(folio::Run& run) {
  double most = 0;
  for (double expected : expected_losses()) most = std::max(most, std::abs(step(run) - expected));
  return most;
}

TEST(ContinueNanogpt, TheNextTwentyLossesAreThoseOfPyTorch) {
  TemporaryFolder folder;
  folio::Run run(nanogpt_options(folder), {});
  EXPECT_EQ(run.iter, before);
  EXPECT_EQ(run.optimizer->steps, before);
  EXPECT_EQ(expected_losses().size(), 20u);
  EXPECT_LT(distance(run), 1e-3);
}

// Each part of the state is needed for that.
TEST(ContinueNanogpt, WithoutAnyPartOfTheStateTheLossesDiffer) {
  TemporaryFolder folder;
  TrainOptions options = nanogpt_options(folder);
  auto differs = [&](auto&& spoil) {
    folio::Run run(options, {});
    spoil(run);
    return distance(run) > 1e-3;
  };
  auto clear = [](folio::Run& run, const char* kind) {
    for (auto& [name, values] : run.optimizer->state)
      if (name.starts_with(kind)) backend(values)->elementwise.fill(values, 0);
  };
  EXPECT_TRUE(differs([](folio::Run& run) { run.optimizer->steps = 0; }));
  EXPECT_TRUE(differs([](folio::Run& run) { run.iter += 1; }));
  EXPECT_TRUE(differs([&](folio::Run& run) { clear(run, "adamw/m/"); }));
  EXPECT_TRUE(differs([&](folio::Run& run) { clear(run, "adamw/v/"); }));
}

TEST(ContinueNanogpt, TheUserIsToldWhatWasTakenOver) {
  TemporaryFolder folder;
  TrainOptions options = nanogpt_options(folder);
  EXPECT_THAT(
      folio::Run(options, {}).taken_over,
      AllOf(HasSubstr(fixture), HasSubstr("iteration 30"), HasSubstr("best val loss 0.1682"),
            HasSubstr("AdamW's state for 28 parameters after 30 steps"), HasSubstr("folio's own"),
            Not(HasSubstr("its run had"))));
  options.beta2 = 0.95;
  options.grad_clip = 0.5;
  EXPECT_THAT(folio::Run(options, {}).taken_over,
              HasSubstr("its run had beta2 = 0.99 (here 0.95), grad_clip = 1 (here 0.5)"));
}

// What it becomes is a folio run like any other, and its own checkpoints resume.
TEST(ContinueNanogpt, TrainsSavesAndResumes) {
  TemporaryFolder folder;
  TrainOptions options = nanogpt_options(folder);
  options.max_iters = 39;
  {
    folio::Run run(options, {});
    Observer silent;
    EXPECT_EQ(train(run, silent), Finish::done);
    EXPECT_EQ(run.iter, 40);
  }
  options.init_from = "resume";
  folio::Run resumed(options, {});
  EXPECT_EQ(resumed.iter, 40);
  EXPECT_EQ(resumed.optimizer->steps, 40);
}

TEST(ContinueNanogpt, AShorterBlockSizeCutsThePositionsAndTheirMoments) {
  TemporaryFolder folder;
  TrainOptions options = nanogpt_options(folder);
  options.model.block_size = 8;
  folio::Run run(options, {{"block_size", "command line"}});
  EXPECT_EQ(run.model->config().block_size, 8);
  EXPECT_EQ(run.optimizer->state.at("adamw/m/transformer.wpe.weight").shape(), (Shape{8, 8}));
  EXPECT_GT(train_step(run).loss, 0);
  options.model.block_size = 32;
  EXPECT_THROW(folio::Run(options, {{"block_size", "command line"}}), Error);
}

TEST(ContinueNanogpt, ADatasetOfAnotherVocabularyIsRefused) {
  TemporaryFolder folder;
  TrainOptions options = nanogpt_options(folder);
  auto error = [&](std::string text) {
    std::ofstream(folder / "other.txt") << text;
    prepare({.name = "other", .input = folder / "other.txt", .data_dir = options.data_dir});
    options.dataset = "other";
    try {
      folio::Run run(options, {});
      return "taken over: " + run.taken_over;
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  std::string more = "abcdefghijklmnopqrstuvwxyz0123456789", fewer = "abcdabcdabcdabcdabcd";
  EXPECT_THAT(error(more), AllOf(HasSubstr("of 11 tokens"), HasSubstr("of 36")));
  EXPECT_THAT(error(fewer), AllOf(HasSubstr("of 11 tokens"), HasSubstr("of 4"),
                                  HasSubstr("--allow_other_vocab=true")));
  options.allow_other_vocab = true;
  EXPECT_THAT(error(more), AllOf(HasSubstr("of 11 tokens"), Not(HasSubstr("taken over"))));
  EXPECT_THAT(error(fewer), AllOf(HasSubstr("taken over"), HasSubstr("another vocabulary, of 11")));
}

}  // namespace
}  // namespace folio

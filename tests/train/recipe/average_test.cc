#include "train/optimizer/average.h"

#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using Weights = std::map<std::string, std::vector<float>>;

Weights weights_of(Gpt& model) {
  Weights weights;
  model.parameters(
      [&](const std::string& name, Parameter& p) { weights[name] = to_vector<float>(p.array()); });
  return weights;
}

Weights values_of(const Average& average) {
  Weights weights;
  for (const auto& [name, values] : average.values) weights[name] = to_vector<float>(values);
  return weights;
}

TEST(AverageOfARun, FollowsTheWeightsAndTakesTheirPlaceForAWhile) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.ema = 0.5;
  folio::Run run(options, {});
  const Weights start = weights_of(*run.model);
  EXPECT_TRUE(run.average->values.empty());
  train_step(run);
  Weights expected = weights_of(*run.model);
  EXPECT_TRUE(values_of(*run.average) == expected);
  train_step(run);  // of 2 steps, so the decay is 3 / 12
  const Weights second = weights_of(*run.model);
  for (auto& [name, values] : expected)
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] += 0.75f * (second.at(name)[i] - values[i]);
      EXPECT_NEAR(to_vector<float>(run.average->values.at(name))[i], values[i], 1e-6) << name;
    }
  const Weights average = values_of(*run.average);
  EXPECT_FALSE(average == second);
  {
    Average::InPlace scope(*run.average);
    EXPECT_TRUE(weights_of(*run.model) == average);
  }
  EXPECT_TRUE(weights_of(*run.model) == second);
}

// The losses of an evaluation are the averaged model's, and so is what a reader of the file opens;
// who resumes has both.
TEST(AverageOfARun, IsWhatEvaluationsAndReadersOfTheFileSee) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.max_iters = 7;
  options.ema = 0.9;
  struct Losses : Observer {
    void evaluated(const folio::Run&, const folio::Losses& losses) override { last = losses; }
    folio::Losses last;
  } observer;
  Weights own, average;
  {
    folio::Run run(options, {});
    train(run, observer);
    own = weights_of(*run.model), average = values_of(*run.average);
  }
  OpenedModel last =
      open_model("resume", options.out_dir, test_device(), Purpose::any, Which::last);
  EXPECT_TRUE(last.averaged);
  EXPECT_TRUE(weights_of(*last.model) == average);
  EXPECT_NE(last.described().find("averaged weights"), std::string::npos);
  OpenedModel best = open_model("resume", options.out_dir, test_device());
  Dataset data = open_dataset((std::filesystem::path(options.data_dir) / options.dataset).string());
  EXPECT_EQ(estimate_loss(*best.model, data, options, 4).val, observer.last.val);

  options.init_from = "resume";
  folio::Run resumed(options, {});
  EXPECT_TRUE(weights_of(*resumed.model) == own);
  EXPECT_TRUE(values_of(*resumed.average) == average);
}

TEST(AverageOfARun, AFileThatHasItOfSomeParametersAloneIsRefused) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.max_iters = 4;
  options.ema = 0.9;
  Observer silent;
  {
    folio::Run run(options, {});
    train(run, silent);
  }
  CheckpointFile file = load(last_checkpoint(options.out_dir));
  file.tensors.erase("ema/transformer.h.1.ln_1.weight");
  save(last_checkpoint(options.out_dir), file);
  EXPECT_THROW(open_model("resume", options.out_dir, test_device(), Purpose::any, Which::last),
               Error);
  options.init_from = "resume";
  EXPECT_THROW(folio::Run(options, {}), Error);
}

}  // namespace
}  // namespace folio

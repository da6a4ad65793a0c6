// What a resume holds: the parameters and both moments, once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/train/tiny_run.h"
#include "train/optimizer/adamw.h"
#include "train/train.h"

namespace folio {
namespace {

using testing::HasSubstr;

double parameter_bytes(Gpt& model) { return 4.0 * double(model.num_params(false)); }

TEST(ResumeMemory, ReadsEachTensorIntoItsPlace) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.model.n_embd = 128, options.max_iters = 0;
  Observer silent;
  double bytes = 0;
  {
    folio::Run run(options, {});
    bytes = parameter_bytes(*run.model);
    train(run, silent);
  }
  size_t before = test_backend()->memory.use().live;
  options.init_from = "resume";
  test_backend()->memory.forget_peak();
  folio::Run run(options, {});
  double taken = double(test_backend()->memory.use().peak - before);
  EXPECT_GE(taken, 3 * bytes);
  EXPECT_LE(taken, 3.2 * bytes) << "of the parameters, as the issue asks";
  for (const auto& [name, values] : run.optimizer->state) EXPECT_TRUE(values.sole_owner()) << name;
}

TEST(AdamWMoments, TakeMemoryWhenTheyAreFirstNeeded) {
  Gpt model({.block_size = 8, .vocab_size = 5, .n_layer = 1, .n_head = 1, .n_embd = 64},
            test_device(), 1);
  size_t before = test_backend()->memory.use().live;
  AdamW optimizer(model, {});
  EXPECT_EQ(test_backend()->memory.use().live, before);
  optimizer.make_state();
  EXPECT_GE(double(test_backend()->memory.use().live - before), 2 * parameter_bytes(model));
  const Array& m = optimizer.state.at("adamw/m/transformer.wte.weight");
  EXPECT_EQ(to_vector<float>(m), std::vector<float>(size_t(m.size()), 0));
}

TEST(AdamWStep, WithoutAGradientIsAnErrorThatNamesTheParameter) {
  Gpt model({.block_size = 8, .vocab_size = 5, .n_layer = 1, .n_head = 1, .n_embd = 8},
            test_device(), 1);
  AdamW optimizer(model, {});
  EXPECT_THAT(message_of([&] { optimizer.step({1e-3}); }),
              HasSubstr("AdamW::step: parameter transformer.wte.weight has no gradient"));
  EXPECT_EQ(optimizer.steps, 0);
}

}  // namespace
}  // namespace folio

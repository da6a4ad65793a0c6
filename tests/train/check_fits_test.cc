#include "train/check_fits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/process/memory_limit.h"
#include "tests/device.h"
#include "tests/message.h"
#include "train/optimizer/adamw.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TrainOptions options_of(int64_t batch_size, const std::string& dtype, bool recompute) {
  TrainOptions options;
  options.batch_size = batch_size, options.model.block_size = 64;
  options.gradient_accumulation_steps = 1;
  options.model.n_layer = 4, options.model.n_head = 4, options.model.n_embd = 128;
  options.dtype = dtype, options.recompute = recompute;
  return options;
}

GptConfig config_of(const TrainOptions& o) {
  return {.block_size = o.model.block_size,
          .vocab_size = 500,
          .n_layer = o.model.n_layer,
          .n_head = o.model.n_head,
          .n_embd = o.model.n_embd,
          .bias = o.model.bias};
}

// The most that Arrays held in a training step.
double bytes_of_a_step(const TrainOptions& options) {
  size_t before = test_backend()->memory.use().live;
  test_backend()->memory.forget_peak();
  Gpt model(config_of(options), test_device(), 1);
  model.context().dtype = dtype_named(options.dtype);
  model.context().recompute = options.recompute;
  AdamW optimizer(model, {});
  Array tokens = zeros({options.batch_size, options.model.block_size}, DType::i32);
  for (int i = 0; i < 2; ++i) {
    for (int64_t micro = 0; micro < options.gradient_accumulation_steps; ++micro)
      model.loss(tokens, tokens).backward();
    optimizer.step({1e-3});
    optimizer.zero_grad();
  }
  return double(test_backend()->memory.use().peak - before);
}

// Never more than what a step takes, nor so little that it would say nothing.
TEST(CheckFits, EstimatesALittleLessThanAStepTakes) {
  for (const char* dtype : {"float32", "bfloat16"}) {
    for (bool recompute : {false, true}) {
      for (auto [batch_size, steps] : {std::pair{1, 1}, {1, 2}, {32, 1}, {32, 2}}) {
        SCOPED_TRACE(fmt::format("{} {} {} {}", dtype, recompute, batch_size, steps));
        TrainOptions options = options_of(batch_size, dtype, recompute);
        options.gradient_accumulation_steps = steps;
        double taken = bytes_of_a_step(options),
               estimate = training_bytes(config_of(options), options);
        EXPECT_LE(estimate, taken);
        EXPECT_GE(estimate, 0.4 * taken);
      }
    }
  }
}

TEST(CheckFits, NamesTheOptionsAndTheBytesNeededAndLeft) {
  TrainOptions options = options_of(1, "float32", false);
  check_fits(config_of(options), options);
  options.model.n_embd = int64_t{1} << 40;
  EXPECT_THAT(
      message_of([&] { check_fits(config_of(options), options); }),
      AllOf(HasSubstr("n_embd=1099511627776"), HasSubstr("n_layer=4"), HasSubstr("MB are left")));
  options = options_of(int64_t{1} << 40, "bfloat16", true);
  size_t before = test_backend()->memory.use().peak;
  EXPECT_THAT(message_of([&] { check_fits(config_of(options), options); }),
              AllOf(HasSubstr("batch_size=1099511627776"), HasSubstr("block_size=64")));
  options.eval_only = true;  // keeps nothing for backward
  check_fits(config_of(options), options);
  EXPECT_EQ(test_backend()->memory.use().peak, before);
}

}  // namespace
}  // namespace folio

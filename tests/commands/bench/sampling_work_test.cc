// The bytes and multiply-adds behind the shares of `bench sample`, against counts by hand.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "commands/bench/sampling_report.h"
#include "tests/device.h"

namespace folio {
namespace {

// Sizes that no layout pads: multiples of 32 in the matrices, 16 channels a head, 64 positions.
constexpr int64_t T = 64, V = 96, L = 2, H = 4, C = 64;
constexpr double blocks = 12.0 * L * C * C, head = V * C;  // weights of matrices

// bits a weight
const std::map<WeightFormat, double> formats{{WeightFormat::f32, 32},
                                             {WeightFormat::bf16, 16},
                                             {WeightFormat::int8, 8.5},
                                             {WeightFormat::int4, 4.5}};
// bytes of the keys and values of a position
const std::map<DType, double> caches{
    {DType::f32, L * 2 * C * 4}, {DType::bf16, L * 2 * C * 2}, {DType::i8, L * 2 * (C + 4 * H)}};

std::unique_ptr<Gpt> a_model(WeightFormat format) {
  auto model = std::make_unique<Gpt>(
      GptConfig{.block_size = T, .vocab_size = V, .n_layer = L, .n_head = H, .n_embd = C},
      test_device(), 1);
  model->pack(format);
  return model;
}

// A prompt of 10 tokens is read, then 5 are drawn: the first after the prompt, the others by steps
// that see 11, 12, 13 and 14 tokens. A token multiplies by every weight once, and by 2 C numbers of
// each layer for each position that it sees.
TEST(SamplingWork, ACachedStepReadsTheWeightsOnceAndEachSamplesCache) {
  for (auto [format, bits] : formats) {
    auto model = a_model(format);
    for (auto [dtype, position] : caches) {
      for (int64_t batch : {1, 3}) {
        Timing timing = measure(
            *model, {.batch = batch, .prompt_tokens = 10, .new_tokens = 5, .kv_cache_dtype = dtype},
            1);
        EXPECT_DOUBLE_EQ(timing.bytes_a_step,
                         bits / 8 * (blocks + head) + double(batch) * 12.5 * position)
            << name_of(format) << ", " << name_of(dtype);
        EXPECT_DOUBLE_EQ(timing.flops_a_step,
                         double(batch) * 2 * (blocks + head + L * 2 * C * 12.5));
        EXPECT_DOUBLE_EQ(timing.flops_a_prompt, 2 * (10 * blocks + head + L * 2 * C * 55));
      }
    }
  }
}

// Every window again, of which the head computes the last row alone: 1 + 2 + ... + n pairs of a
// token and one that it sees.
TEST(SamplingWork, AnUncachedStepReadsWindows) {
  for (auto [format, bits] : formats) {
    auto model = a_model(format);
    Timing timing =
        measure(*model, {.batch = 3, .prompt_tokens = 10, .new_tokens = 5, .kv_cache = false}, 1);
    EXPECT_DOUBLE_EQ(timing.bytes_a_step, bits / 8 * (blocks + head)) << name_of(format);
    const double pairs = (66 + 78 + 91 + 105) / 4.0;
    EXPECT_DOUBLE_EQ(timing.flops_a_step, 3 * 2 * (12.5 * blocks + head + L * 2 * C * pairs));
  }
}

// Past block_size, T = 64, at 63, 64, 65 and 66 tokens. A window that slides is then computed again
// for each; another has 32 tokens at 65, which are computed again, and goes on from there.
TEST(SamplingWork, WindowsThatAreComputedAgainCount) {
  auto model = a_model(WeightFormat::f32);
  Workload w{.batch = 1, .prompt_tokens = 62, .new_tokens = 5};
  auto flops = [](double rows, double pairs) {
    return 2 * (rows * blocks + 4 * head + L * 2 * C * pairs) / 4;
  };
  w.past_block = PastBlock::slide;
  EXPECT_DOUBLE_EQ(measure(*model, w, 1).flops_a_step,
                   flops(1 + 1 + 64 + 64, 63 + 64 + 2080 + 2080));
  w.past_block = PastBlock::block;
  EXPECT_DOUBLE_EQ(measure(*model, w, 1).flops_a_step, flops(1 + 1 + 32 + 1, 63 + 64 + 528 + 33));
}

// A model with a window of 40 goes on without computing anything again: the steps at 39 to 42
// tokens see 39 and three times 40; without the cache they compute the whole text.
TEST(SamplingWork, AnEndlessTextsStepsSeeAWindow) {
  auto model = std::make_unique<Gpt>(GptConfig{.block_size = T,
                                               .vocab_size = V,
                                               .n_layer = L,
                                               .n_head = H,
                                               .n_embd = C,
                                               .position = "rotary",
                                               .attention_window = 40},
                                     test_device(), 1);
  model->pack(WeightFormat::f32);
  Workload w{.batch = 3, .prompt_tokens = 38, .new_tokens = 5, .past_block = PastBlock::window};
  Timing timing = measure(*model, w, 1);
  const double seen = (39 + 3 * 40) / 4.0;
  EXPECT_DOUBLE_EQ(timing.bytes_a_step, 4 * (blocks + head) + 3 * seen * caches.at(DType::f32));
  EXPECT_DOUBLE_EQ(timing.flops_a_step, 3 * 2 * (blocks + head + L * 2 * C * seen));
  const size_t ring = timing.kv_cache_bytes;
  w.kv_cache = false;
  const double pairs = (39 * 40 / 2 + 40 * 41 / 2 + (820 + 40) + (820 + 2 * 40)) / 4.0;
  timing = measure(*model, w, 1);
  EXPECT_DOUBLE_EQ(timing.flops_a_step, 3 * 2 * (40.5 * blocks + head + L * 2 * C * pairs));
  w.kv_cache = true;
  w.new_tokens = 4 * T;
  EXPECT_EQ(measure(*model, w, 1).kv_cache_bytes, ring);
}

// 4 GB and 6 GFLOP in half a second, on a machine of 16 GB/s and 100, 200 and 400 GFLOP/s.
TEST(SamplingWork, SharesAreOfWhatTheMachineDoesInThatTime) {
  BenchRow row;
  row.workload.batch = 2;
  row.timing.prompt_seconds = 0.25, row.timing.step_seconds = 0.5;
  row.timing.bytes_a_step = 4e9;
  row.timing.flops_a_step = 6e9, row.timing.flops_a_prompt = 5e9;
  const MachinePeak peak{.f32 = {100e9, "cores"},
                         .bf16 = {200e9, "dots"},
                         .int8 = {400e9, "dots"},
                         .read_bandwidth = 16e9};
  for (auto [weights, units] :
       {std::pair{"float32", 1.0}, {"bfloat16", 2.0}, {"int8", 4.0}, {"int4", 4.0}}) {
    row.weights = weights;
    const nlohmann::json json = to_json(row, peak, T);
    EXPECT_DOUBLE_EQ(json.at("share_of_bandwidth"), 0.5);
    EXPECT_DOUBLE_EQ(json.at("share_of_peak"), 0.12 / units) << weights;
    EXPECT_DOUBLE_EQ(json.at("prefill_share_of_peak"), 0.2 / units) << weights;
    EXPECT_DOUBLE_EQ(json.at("bytes_a_token"), 2e9);
  }
}

}  // namespace
}  // namespace folio

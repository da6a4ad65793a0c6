// Texts without end, over the ring of a model with a window: they are one forward pass over the
// whole text, bit for bit, alone and in any batch, and a token costs the same at any length.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "core/process/stop.h"
#include "core/profile.h"
#include "sample/decoder.h"
#include "sample/generate.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

const ContextWindow endless{T, PastBlock::window};

// What has to be smaller on the emulated device, which is slow.
int64_t here(int64_t on_the_cpu, int64_t emulated) {
  return test_device_is_cpu() ? on_the_cpu : emulated;
}

GptConfig every_option() {
  GptConfig config = endless_config();
  config.n_head = 4;
  config.head_dim = 12;
  config.n_kv_head = 2;
  config.norm = "rms";
  config.qk_norm = "rms";
  config.activation = Activation::swiglu();
  config.logit_softcap = 20;
  return config;
}

// Logits [n][V] of each of a text's tokens, by one forward pass over all of it, of which the cache
// forgets nothing.
std::vector<std::vector<float>> whole_pass(Gpt& model, const Tokens& tokens,
                                           DType dtype = DType::f32) {
  NoGrad no_grad;
  const int64_t n = std::ssize(tokens);
  const Heads heads = model.config().heads();
  KvCache cache = model.make_cache(1);
  for (KvLayer& layer : cache.layers)
    layer = test_backend()->kv_cache.make_layer(1, n + heads.window, heads, dtype);
  const auto all = to_vector<float>(model(to_array(tokens, {1, n}), &cache).array());
  std::vector<std::vector<float>> rows;
  for (auto row = all.begin(); row != all.end(); row += V) rows.emplace_back(row, row + V);
  return rows;
}

int32_t likeliest(const std::vector<float>& logits) {
  return int32_t(std::ranges::max_element(logits) - logits.begin());
}

struct Model {
  const char* name;
  GptConfig config;
};
void PrintTo(const Model& model, std::ostream* out) { *out << model.name; }
class Endless : public testing::TestWithParam<Model> {};
INSTANTIATE_TEST_SUITE_P(Models, Endless,
                         testing::Values(Model{"rotary", endless_config()},
                                         Model{"none", endless_config("none")},
                                         Model{"every_option", every_option()}),
                         [](const auto& info) { return std::string(info.param.name); });

// 16 T tokens after each of many prompts, some of them longer than the ring.
TEST_P(Endless, StreamsAreOneForwardPassOverTheWholeText) {
  auto model = packed(dense_model(GetParam().config));
  std::vector<Tokens> batch;
  for (int64_t i = 0; i < here(36, 1); ++i)
    batch.push_back(random_tokens(1 + (150 + 41 * i) % 190, uint32_t(i)));
  for (double temperature : {0.0, 1.0}) {
    GenerateOptions options{.max_new_tokens = 16 * T,
                            .sampler = {.temperature = temperature},
                            .past_block = PastBlock::window,
                            .batch_size = 20};
    std::vector<std::vector<std::vector<float>>> logits(batch.size());
    auto note = [&](const Draw& draw) {
      logits[draw.sample].push_back(draw.logits());
      return true;
    };
    const auto samples = generate(*model, batch, options, {.drawn = note, .ended = {}}).samples;
    for (size_t i = 0; i < batch.size(); ++i) {
      const Tokens& text = samples[i].tokens;
      const size_t prompt = batch[i].size();
      ASSERT_EQ(text.size(), prompt + 16 * T);
      const auto whole = whole_pass(*model, text);
      for (size_t t = 0; t < 16 * T; ++t) {
        ASSERT_EQ(logits[i][t], whole[prompt + t - 1]) << "prompt " << i << ", token " << t;
        if (temperature == 0) {
          ASSERT_EQ(text[prompt + t], likeliest(whole[prompt + t - 1]));
        }
      }
    }
    options.batch_size = temperature == 0 ? 1 : 7;
    const auto again = generate(*model, batch, options).samples;  // unwatched: they are drawn ahead
    for (size_t i = 0; i < batch.size(); ++i) EXPECT_EQ(again[i].tokens, samples[i].tokens) << i;
    if (!test_device_is_cpu()) continue;
    options.kv_cache = false;
    options.max_new_tokens = 2 * T;
    const Tokens uncached = generate(*model, std::span(batch).first(1), options).samples[0].tokens;
    EXPECT_TRUE(std::ranges::equal(uncached, std::span(samples[0].tokens).first(uncached.size())));
  }
}

// Which the layers that train compute as well, without a cache.
TEST_P(Endless, TheForwardPassIsThatOfTraining) {
  auto model = packed(dense_model(GetParam().config)), dense = dense_model(GetParam().config);
  const Tokens text = random_tokens(16 * T, 3);
  const auto rows = whole_pass(*model, text);
  for (int64_t length : {T, 3 * T + 5, ring + 1, 16 * T}) {
    const std::vector<float> expected =
        plain_logits(*dense, Tokens(text.begin(), text.begin() + length));
    for (size_t v = 0; v < size_t(V); ++v)
      ASSERT_NEAR(rows[size_t(length - 1)][v], expected[v], 1e-4) << "length " << length;
  }
}

// Sequences that join late, leave early, pause and take many tokens at once.
TEST(EndlessDecoder, EverySequenceIsItsForwardPass) {
  auto model = packed(dense_model(endless_config()));
  for (DType dtype : {DType::f32, DType::i8}) {
    Decoder decoder(*model, {.window = endless, .batch_size = 5, .kv_cache_dtype = dtype});
    std::vector<std::map<int64_t, std::vector<float>>> logits;  // of a row, by its length
    std::mt19937 random(4);
    uint32_t made = 0;
    auto check_and_remove = [&](int64_t row) {
      const auto whole = whole_pass(*model, decoder.tokens(row), dtype);
      for (const auto& [length, got] : logits[size_t(row)])
        EXPECT_EQ(got, whole[size_t(length - 1)]) << "length " << length;
      decoder.remove(row);
      std::swap(logits[size_t(row)], logits.back());
      logits.pop_back();
    };
    for (int64_t step = 0; step < here(400, 16); ++step) {
      while (decoder.size() < 5 && random() % 3) {
        const Tokens tokens = random_tokens(1 + int64_t(random() % 300), ++made);
        if (random() % 2)
          decoder.add(decoder.prefill(tokens));
        else
          decoder.add(tokens);
        logits.emplace_back();
      }
      decoder.step();
      for (int64_t row = decoder.size() - 1; row >= 0; --row) {
        logits[size_t(row)][decoder.length(row)] = decoder.logits(row);
        if (random() % 64 == 0)
          check_and_remove(row);
        else if (random() % 8)  // else it pauses
          decoder.append(row, random_tokens(random() % 8 ? 1 : 1 + int64_t(random() % 200), made));
      }
    }
    while (decoder.size() > 0) check_and_remove(0);
    EXPECT_GT(made, here(15, 3));
  }
}

// Tokens that the host does not wait for, by a step that is recorded once, round the ring.
TEST(EndlessDecoder, DrawsAheadAndRecordsPastTheRing) {
  auto model = packed(dense_model(endless_config()));
  for (bool record : {true, false}) {
    Decoder decoder(*model, {.window = endless, .batch_size = 3, .record = record});
    for (int64_t length : {3, 100, 129}) decoder.add(random_tokens(length, uint32_t(length)));
    for (int64_t i = 0; i < here(3 * ring, ring + 20); ++i) {
      std::vector<RowDraw> draws;
      for (uint64_t row = 0; row < 3; ++row) draws.push_back({{3, row}, uint64_t(i)});
      decoder.step();
      decoder.draw_ahead({.top_k = 20}, draws);
    }
    decoder.step();
    for (int64_t row = 0; row < 3; ++row) {
      const auto whole = whole_pass(*model, decoder.tokens(row));
      EXPECT_EQ(decoder.logits(row), whole.back()) << "row " << row;
      const int64_t prompt = std::vector{3, 100, 129}[size_t(row)];
      for (int64_t t = prompt; t < decoder.length(row); ++t) {  // drawn from these very logits
        const RowDraw draw{{3, uint64_t(row)}, uint64_t(t - prompt)};
        const Array logits = to_array(whole[size_t(t - 1)], {1, V});
        ASSERT_EQ(draw_tokens(logits, V, {.top_k = 20}, std::span(&draw, 1))[0],
                  decoder.tokens(row)[size_t(t)])
            << "row " << row << ", token " << t;
      }
    }
  }
}

// Anywhere in many tokens that take the ring several calls; no call may be made again of which the
// ring has lost the beginning. The window is so wide that the last token depends on the first.
TEST(EndlessDecoder, AnInterruptedStepCanBeMadeAgain) {
  GptConfig config = endless_config();
  config.attention_window = 60;
  auto model = packed(dense_model(config));
  Decoder decoder(*model, {.window = endless});
  decoder.add(random_tokens(100, 1));
  decoder.step();
  std::mt19937 random(9);
  int interrupted = 0;
  for (uint32_t round = 0; round < 20; ++round) {
    decoder.append(0, random_tokens(100, round));
    for (int i = 0; i < 4; ++i) {
      Interruptible scope;
      request_stop_at_check(SIGINT, 1 + int(random() % 100));  // of some 60 in a step, by machine
      try {
        decoder.step();
      } catch (const Interrupted&) {
        ++interrupted;
      }
      forget_stop();
    }
    decoder.step();
    ASSERT_EQ(decoder.logits(0), whole_pass(*model, decoder.tokens(0)).back()) << round;
  }
  EXPECT_GT(interrupted, 20);
}

// To 64 T: each step asks the device for the same operations, of the same size, and Arrays hold
// what they held when the text had outgrown the ring.
TEST(EndlessDecoder, WorkAndMemoryAreFlat) {
  auto model = packed(dense_model(endless_config()));
  Decoder decoder(*model, {.window = endless, .batch_size = 2});
  for (uint32_t row : {0, 1}) decoder.add(random_tokens(W, row));
  decoder.step();
  const size_t cache = decoder.cache_bytes();
  const int64_t last = here(64, 10) * T;
  using Work = std::map<std::string, std::vector<double>>;  // calls, bytes and multiply-adds
  Work expected;
  MemoryUse held;
  for (int64_t length = W + 1; length <= last; ++length) {
    for (int64_t row : {0, 1}) decoder.append(row, random_tokens(1, uint32_t(length + row)));
    const Profile step = profile(test_device(), [&] { decoder.step(); });
    Work work;
    for (const OperationTime& op : step.operations)
      work[op.name] = {double(op.calls), op.bytes, op.flops};
    if (length == W + 1) expected = work;
    ASSERT_EQ(work, expected) << "length " << length;
    const MemoryUse now = test_backend()->memory.use();
    if (length == ring + 1) {
      held = now;
      test_backend()->memory.forget_peak();
    }
    if (length > ring + 1) {
      ASSERT_EQ(now.live, held.live) << "length " << length;
      ASSERT_LE(now.peak, held.peak) << "length " << length;
    }
  }
  EXPECT_GT(expected.size(), 5u);
  EXPECT_EQ(decoder.cache_bytes(), cache);
  EXPECT_EQ(
      Decoder(*model, {.window = endless, .batch_size = 2, .max_length = 1000000}).cache_bytes(),
      cache);
}

TEST(PastBlock, AutoIsTheEndlessStreamWhereTheModelHasIt) {
  GptConfig config = endless_config();
  EXPECT_EQ(past_block_named("auto", config), PastBlock::window);
  EXPECT_EQ(past_block_named("auto", endless_config("none")), PastBlock::window);
  EXPECT_EQ(past_block_named("auto", endless_config("learned")), PastBlock::block);
  config.attention_window = T + 1;  // of which it has learned T
  EXPECT_EQ(past_block_named("auto", config), PastBlock::block);
  EXPECT_EQ(past_block_named("window", config), PastBlock::window);
  config.attention_window = 0;
  EXPECT_EQ(past_block_named("auto", config), PastBlock::block);
  for (const char* name : {"slide", "block", "stop"})
    for (const char* position : {"learned", "rotary"})
      EXPECT_EQ(name_of(past_block_named(name, endless_config(position))), name);
}

TEST(PastBlock, WhatTheModelCannotDoIsAnError) {
  GptConfig config = endless_config();
  config.attention_window = 0;
  auto error = [](const char* name, const GptConfig& model) {
    return message_of([&] { past_block_named(name, model); });
  };
  EXPECT_EQ(error("window", endless_config("learned")),
            "past_block=window: needs a model whose positions are not learned and that has a "
            "window; this one has position=learned and attention_window=11; take block, slide or "
            "stop");
  EXPECT_THAT(error("window", config),
              testing::HasSubstr("position=rotary and attention_window=0; take block, slide or "
                                 "stop, or give it a window (--window=W), which is approximate"));
  EXPECT_THAT(error("trim", config), testing::HasSubstr("auto, window, block, slide or stop"));
  EXPECT_THAT(message_of([] { ContextWindow(T, PastBlock::window, 5); }),
              testing::HasSubstr("keep=5: past_block=window"));
  EXPECT_THAT(message_of([] { Decoder(*a_model(), {.window = endless}); }),
              testing::HasSubstr("this one has position=learned"));
}

}  // namespace
}  // namespace folio

// Whole streams: cached against uncached, alone against together, and how samples end.
#include "sample/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <map>

#include "core/parallel.h"
#include "core/process/stop.h"
#include "sample/decoder.h"
#include "sample/logprobs.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

std::vector<Tokens> streams(Gpt& model, const std::vector<Tokens>& batch,
                            const GenerateOptions& options) {
  std::vector<Tokens> all;
  for (const Sample& sample : generate(model, batch, options).samples) all.push_back(sample.tokens);
  return all;
}

class Lengths : public testing::TestWithParam<int64_t> {};

TEST_P(Lengths, CachedAndUncachedStreamsAreEqual) {
  auto model = a_model();
  for (PastBlock past_block : {PastBlock::slide, PastBlock::block}) {
    for (double temperature : {0.0, 0.8}) {
      std::vector<Tokens> batch = prompts(100, GetParam(), 3);
      GenerateOptions options{.max_new_tokens = 4 * T,
                              .sampler = {.temperature = temperature, .top_k = 40},
                              .past_block = past_block};
      std::vector<Tokens> cached = streams(*model, batch, options);
      options.kv_cache = false;
      EXPECT_EQ(cached, streams(*model, batch, options)) << "temperature " << temperature;
      for (size_t b = 0; b < batch.size(); ++b)
        ASSERT_EQ(cached[b].size(), batch[b].size() + size_t(4 * T));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AroundBlockSize, Lengths, testing::Values(1, T - 1, T, T + 1, 3 * T));

// nanoGPT's generate, by the layers that train: crop to the last T, take the likeliest.
Tokens nano_gpt(Gpt& plain, Tokens tokens, int64_t max_new_tokens) {
  for (int64_t i = 0; i < max_new_tokens; ++i) {
    auto window = std::min<std::ptrdiff_t>(T, std::ssize(tokens));
    std::vector<float> logits = plain_logits(plain, Tokens(tokens.end() - window, tokens.end()));
    tokens.push_back(int32_t(std::ranges::max_element(logits) - logits.begin()));
  }
  return tokens;
}

TEST(Generate, SlideIsNanoGptsStream) {
  auto model = a_model();
  auto plain = dense_model();
  GenerateOptions options{
      .max_new_tokens = 4 * T, .sampler = {.temperature = 0}, .past_block = PastBlock::slide};
  for (int64_t length : {1, 9, 16, 40}) {
    std::vector<Tokens> batch = prompts(25, length, 6);
    std::vector<Tokens> got = streams(*model, batch, options);
    for (size_t i = 0; i < batch.size(); ++i)
      EXPECT_EQ(got[i], nano_gpt(*plain, batch[i], 4 * T)) << i << " of length " << length;
    options.past_block = PastBlock::block;
    options.keep = T;
    EXPECT_EQ(streams(*model, batch, options), got);
    options = {
        .max_new_tokens = 4 * T, .sampler = {.temperature = 0}, .past_block = PastBlock::slide};
  }
}

// What the model says of a text that it is made to repeat, against a loss over strided windows that
// is written down independently: windows of T tokens that overlap by keep - 1 predicted tokens.
TEST(Generate, BlocksTeacherForcedLossIsThatOfStridedWindows) {
  auto model = a_model();
  auto plain = dense_model();
  const Tokens text = random_tokens(9 * T + 5, 12);
  auto nll = [](std::span<const float> logits, int32_t target) {
    double sum = 0;
    for (float logit : logits) sum += std::exp(double(logit));
    return std::log(sum) - double(logits[size_t(target)]);
  };
  for (int64_t keep : {1, 4, 8, 15, 16}) {
    double forced = 0, strided = 0;
    Decoder decoder(*model, {.window = {T, PastBlock::block, keep}});
    decoder.add(Tokens{text[0]});
    for (size_t i = 1; i < text.size(); ++i) {
      decoder.step();
      forced += nll(decoder.logits(0), text[i]);
      decoder.append(0, std::span(text).subspan(i, 1));
    }

    NoGrad no_grad;
    const auto last = std::ssize(text) - 1;  // inputs
    for (std::ptrdiff_t begin = 0, done = 0; done < last; begin += T - keep + 1) {
      auto end = std::min<std::ptrdiff_t>(begin + T, last);
      Tokens inputs(text.begin() + begin, text.begin() + end);
      std::vector<float> logits =
          to_vector<float>((*plain)(to_array(inputs, {1, std::ssize(inputs)})).array());
      for (; done < end; ++done) {
        std::span<const float> row = std::span(logits).subspan(size_t((done - begin) * V), V);
        strided += nll(row, text[size_t(done + 1)]);
      }
    }
    EXPECT_NEAR(forced / double(last), strided / double(last), 1e-4) << "keep " << keep;
  }
}

TEST(Generate, ASampleDependsOnNothingButItsPromptSeedAndNumber) {
  auto model = a_model();
  std::vector<Tokens> batch;
  for (int64_t length : {9, 9, 9, 1, 30, 30, 2, 17, 16, 9})
    batch.push_back(random_tokens(length, 4));
  GenerateOptions options{
      .max_new_tokens = 3 * T,
      .sampler = {.repetition_penalty = 1.2, .temperature = 1, .top_k = 50, .top_p = 0.95}};
  for (PastBlock past_block : {PastBlock::slide, PastBlock::block}) {
    options.past_block = past_block;
    std::vector<Tokens> together = streams(*model, batch, options);
    EXPECT_NE(together[0], together[1]);
    EXPECT_EQ(streams(*model, {batch[0]}, options)[0], together[0]);
    for (int64_t batch_size : {1, 3, 4}) {
      GenerateOptions some = options;
      some.batch_size = batch_size;
      EXPECT_EQ(streams(*model, batch, some), together) << "batch_size " << batch_size;
    }
    for (int threads : {1, 3}) {
      set_parallel_threads(threads);
      EXPECT_EQ(streams(*model, batch, options), together) << threads << " threads";
    }
    set_parallel_threads(0);
    GenerateOptions other = options;
    other.seed = 1;
    EXPECT_NE(streams(*model, batch, other), together);
  }
}

// A token that comes up early in some samples and late in others: they leave one by one.
TEST(Generate, SamplesThatEndLeaveTheOthersAsTheyWere) {
  auto model = a_model();
  std::vector<Tokens> batch = prompts(12, 6, 7);
  GenerateOptions options{.max_new_tokens = 4 * T, .sampler = {.temperature = 1}};
  std::vector<Tokens> whole = streams(*model, batch, options);
  options.end_tokens = {3, 61};
  std::map<size_t, Ending> ended;
  for (int64_t batch_size : {5, 64}) {
    options.batch_size = batch_size;
    ended.clear();
    Generated generated =
        generate(*model, batch, options,
                 {.drawn = [](const Draw& draw) { return draw.sample != 5 || draw.token % 8; },
                  .ended = [&](size_t sample, Ending ending) { ended[sample] = ending; }});
    int64_t new_tokens = 0, ends = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      const Sample& sample = generated.samples[i];
      EXPECT_EQ(ended.at(i), sample.ending);
      auto end = std::find_if(whole[i].begin() + 6, whole[i].end(), [&](int32_t token) {
        return token == 3 || token == 61 || (i == 5 && token % 8 == 0);
      });
      if (end != whole[i].end() && *end != 3 && *end != 61) ++end;  // the caller's last token stays
      EXPECT_EQ(sample.tokens, Tokens(whole[i].begin(), end)) << i;
      ends += sample.ending == Ending::end_token;
      new_tokens += std::ssize(sample.tokens) - 6 + (sample.ending == Ending::end_token);
    }
    EXPECT_EQ(generated.samples[5].ending, Ending::caller);
    EXPECT_GT(ends, 2);
    EXPECT_LT(ends, 11);
    EXPECT_EQ(generated.new_tokens, new_tokens);
  }
}

// Rows beyond the tokenizer's tokens, as nanoGPT pads its vocabulary: with weights that make them
// by far the likeliest, the text is that of a model without them, however tokens are chosen.
TEST(Generate, IdsWithoutATokenAreNeverDrawn) {
  constexpr int64_t padded = V + 31;
  auto model = a_model(V);
  auto wide = std::make_unique<Gpt>(
      GptConfig{.block_size = T, .vocab_size = padded, .n_layer = 2, .n_head = 2, .n_embd = 32},
      test_device(), 5);
  std::vector<Array> weights;
  dense_model()->parameters(
      [&](const std::string&, Parameter& p) { weights.push_back(p.array()); });
  size_t i = 0;
  wide->parameters([&](const std::string& name, Parameter& p) {
    const Array& from = weights[i++];
    if (name != "transformer.wte.weight") return p.assign(from);
    std::vector<float> rows = to_vector<float>(from);
    for (size_t k = 0; k < 31 * 32; ++k) rows.push_back(100 * rows[k]);
    p.assign(to_array(rows, {padded, 32}));
  });
  wide->pack(WeightFormat::f32);
  std::vector<Tokens> batch = prompts(6, 5, 3);
  for (SamplerOptions sampler : std::vector<SamplerOptions>{{.temperature = 0},
                                                            {},
                                                            {.top_k = 5},
                                                            {.top_p = 0.7},
                                                            {.min_p = 0.05},
                                                            {.repetition_penalty = 1.3}}) {
    GenerateOptions options{.max_new_tokens = 2 * T, .sampler = sampler};
    std::vector<Tokens> expected = streams(*model, batch, options);
    EXPECT_NE(streams(*wide, batch, options), expected);  // the rows are likely indeed
    options.tokens = V;
    auto note = [&](const Draw& draw) {
      const std::vector<float> logits = draw.logits();
      EXPECT_EQ(std::ssize(logits), V);
      double sum = 0;
      for (const TokenProbability& p : token_probabilities(logits, draw.token, V))
        sum += p.probability;
      sum -= token_probabilities(logits, draw.token, 0)[0].probability;  // it is there twice
      EXPECT_NEAR(sum, 1, 1e-9);
      return true;
    };
    std::vector<Tokens> got;
    for (const Sample& s : generate(*wide, batch, options, {.drawn = note, .ended = {}}).samples)
      got.push_back(s.tokens);
    EXPECT_EQ(got, expected);
  }
}

TEST(Generate, MoreTokensThanTheModelHasRowsAreRefused) {
  auto model = a_model();
  EXPECT_THAT(message_of([&] { streams(*model, prompts(1, 3, 1), {.tokens = V + 1}); }),
              testing::HasSubstr("66 tokens, for a model of 65"));
}

// Ctrl-C at the n-th token: no further one is drawn, with any number of threads.
TEST(Generate, AStopTakesEffectAtTheNextToken) {
  auto model = a_model();
  for (int threads : {1, 3}) {
    set_parallel_threads(threads);
    for (int n : {1, 7, 30}) {
      int drawn = 0;
      auto stop_at_n = [&](const Draw&) {
        if (++drawn == n) request_stop(SIGINT);
        return true;
      };
      EXPECT_THROW(generate(*model, prompts(1, 5, 3), {.max_new_tokens = 100},
                            {.drawn = stop_at_n, .ended = {}}),
                   Interrupted);
      EXPECT_EQ(drawn, n);
      forget_stop();
    }
  }
  set_parallel_threads(0);
}

TEST(Generate, StopEndsWhereTheContextIsFull) {
  auto model = a_model();
  GenerateOptions options{
      .max_new_tokens = 3 * T, .sampler = {.temperature = 0}, .past_block = PastBlock::slide};
  std::vector<Tokens> batch{random_tokens(3, 1), random_tokens(T, 2)};
  std::vector<Tokens> whole = streams(*model, batch, options);
  options.past_block = PastBlock::stop;
  std::vector<Sample> samples = generate(*model, batch, options).samples;
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(samples[i].tokens, Tokens(whole[i].begin(), whole[i].begin() + T + 1));
    EXPECT_EQ(samples[i].ending, Ending::block_size);
  }
  options.max_new_tokens = 5;
  EXPECT_EQ(generate(*model, std::span(batch).first(1), options).samples[0].ending,
            Ending::max_new_tokens);
  batch[0] = random_tokens(T + 1, 1);
  EXPECT_THAT([&] { generate(*model, batch, options); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("17 tokens exceed")));
}

TEST(Generate, APromptThatSamplesShareIsReadOnce) {
  auto model = a_model();
  std::vector<Tokens> batch(7, random_tokens(11, 1));
  for (int64_t batch_size : {2, 64}) {
    GenerateOptions options{.max_new_tokens = 3, .batch_size = batch_size};
    Generated generated = generate(*model, batch, options);
    EXPECT_EQ(generated.prompt_tokens, 11);
    EXPECT_EQ(generated.new_tokens, 21);
  }
  batch.push_back(random_tokens(4, 2));
  EXPECT_EQ(generate(*model, batch, {.max_new_tokens = 1}).prompt_tokens, 15);
}

TEST(Generate, WithoutAPromptThereIsNothingToContinue) {
  auto model = a_model();
  EXPECT_THROW(generate(*model, std::vector<Tokens>{}, {}), Error);
  EXPECT_THROW(generate(*model, std::vector<Tokens>{{1}, {}}, {}), Error);
}

}  // namespace
}  // namespace folio

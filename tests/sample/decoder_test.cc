// Sequences with positions of their own, cached, against forward passes without a cache.
#include "sample/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <map>

#include "core/parallel.h"
#include "core/process/stop.h"
#include "tests/device.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

ContextWindow window(PastBlock past_block, int64_t keep = 0) { return {T, past_block, keep}; }

// Logits after `tokens`, by a decoder that reads them at once, alone and without a cache.
std::vector<float> read_alone(Gpt& model, const Tokens& tokens, const ContextWindow& window,
                              std::optional<DType> dtype = {}) {
  Decoder decoder(model, {.window = window, .kv_cache = false, .kv_cache_dtype = dtype});
  decoder.add(tokens);
  decoder.step();
  return decoder.logits(0);
}

// Each step's logits against an independent forward pass over the window that the step declares.
TEST(Decoder, EachStepSeesItsDeclaredWindow) {
  auto model = a_model();
  auto plain = dense_model();
  for (ContextWindow w :
       {window(PastBlock::slide), window(PastBlock::block), window(PastBlock::block, 1),
        window(PastBlock::block, 13), window(PastBlock::block, T)}) {
    Decoder decoder(*model, {.window = w});
    Tokens tokens = random_tokens(5, 1);
    decoder.add(tokens);
    for (int64_t step = 0; step < 4 * T; ++step) {
      decoder.step();
      Tokens seen(tokens.begin() + w.start(int64_t(tokens.size())), tokens.end());
      std::vector<float> expected = plain_logits(*plain, seen), got = decoder.logits(0);
      for (size_t v = 0; v < size_t(V); ++v)
        ASSERT_NEAR(got[v], expected[v], 1e-4) << "keep " << w.keep << ", step " << step;
      ASSERT_EQ(got, read_alone(*model, tokens, w)) << "keep " << w.keep << ", step " << step;
      tokens.push_back(int32_t(step * 7 % V));
      decoder.append(0, std::span(tokens).last(1));
    }
  }
}

// nanoGPT's generate crops idx[:, -block_size:].
TEST(Decoder, SlideSeesNanoGptsWindowAndSoDoesBlockThatKeepsItAll) {
  for (int64_t length = 1; length < 5 * T; ++length) {
    int64_t start = std::max<int64_t>(0, length - T);
    EXPECT_EQ(window(PastBlock::slide, 3).start(length), start);
    EXPECT_EQ(window(PastBlock::block, T).start(length), start);
  }
}

// By hand: T = 16, keep 8. A window that is full at 16 tokens goes on at token 17 from its last 8.
TEST(Decoder, BlockStartsANewWindowWhenTheOldOneIsFull) {
  ContextWindow half = window(PastBlock::block, 8);
  std::map<int64_t, int64_t> starts{{1, 0},   {16, 0},  {17, 9}, {25, 9},
                                    {26, 18}, {34, 18}, {35, 27}};
  for (auto [length, start] : starts) EXPECT_EQ(half.start(length), start) << length;
  EXPECT_EQ(window(PastBlock::block).keep, T / 2);
  for (int64_t keep = 1; keep <= T; ++keep) {  // as one would write the loop
    ContextWindow w = window(PastBlock::block, keep);
    int64_t start = 0;
    for (int64_t length = 1; length < 6 * T; ++length) {
      if (length - start > T) start = length - keep;
      ASSERT_EQ(w.start(length), start) << "keep " << keep << ", length " << length;
    }
  }
  EXPECT_THROW(window(PastBlock::block, T + 1), Error);
  EXPECT_THROW(window(PastBlock::block, -1), Error);
}

// The wrong answer: past block_size, the last T - 1 keys and values stay as they are, though each
// was made at the position after the one that it now stands at.
TEST(Decoder, ATrimmedCacheIsAnotherModel) {
  auto model = a_model();
  auto plain = dense_model();
  Tokens tokens = random_tokens(T + 1, 3);
  NoGrad no_grad;
  KvCache cache = model->make_cache(1);
  (*model)(to_array(Tokens(tokens.begin(), tokens.end() - 1), {1, T}), &cache);
  for (KvLayer& layer : cache.layers) {  // k [1, H, 1, D, 64], v [1, H, 64, width]
    std::vector<float> k = to_vector<float>(layer.k), v = to_vector<float>(layer.v);
    for (size_t i = 0; i + 1 < k.size(); ++i)
      if (i % 64 < 63) k[i] = k[i + 1];
    size_t width = size_t(layer.v.dim(3)), head = size_t(layer.v.dim(2)) * width;
    for (size_t h = 0; h < v.size(); h += head)
      std::copy(v.begin() + long(h + width), v.begin() + long(h + head), v.begin() + long(h));
    backend(layer.k)->memory.write(k.data(), layer.k);
    backend(layer.v)->memory.write(v.data(), layer.v);
  }
  cache.set_length(0, T - 1);
  std::vector<float> trimmed =
      to_vector<float>((*model)(to_array(Tokens{tokens.back()}, {1, 1}), &cache, true).array());
  std::vector<float> right = plain_logits(*plain, Tokens(tokens.begin() + 1, tokens.end()));
  float largest = 0;
  for (size_t i = 0; i < right.size(); ++i)
    largest = std::max(largest, std::abs(trimmed[i] - right[i]));
  EXPECT_GT(largest, 0.1f);
}

// Sequences of many lengths, that join late, leave early and take several tokens at once: each has
// the logits that it has alone.
TEST(Decoder, EverySequenceIsWhatItIsAlone) {
  auto model = a_model();
  for (auto [threads, dtype] : {std::pair{1, DType::f32}, {3, DType::f32}, {3, DType::i8}}) {
    set_parallel_threads(threads);
    ContextWindow w = window(PastBlock::block, 5);
    Decoder decoder(*model, {.window = w, .batch_size = 6, .kv_cache_dtype = dtype});
    std::mt19937 random(4);
    uint32_t made = 0;
    for (int64_t step = 0; step < 150; ++step) {
      while (decoder.size() < 6 && random() % 3)
        decoder.add(random_tokens(1 + int64_t(random() % 40), ++made));
      decoder.step();
      for (int64_t row = decoder.size() - 1; row >= 0; --row) {
        ASSERT_EQ(decoder.logits(row), read_alone(*model, decoder.tokens(row), w, dtype))
            << "step " << step << ", row " << row;
        if (random() % 16 == 0)
          decoder.remove(row);
        else if (random() % 8)  // else it pauses
          decoder.append(row, random_tokens(random() % 4 ? 1 : 4, random()));
      }
    }
    EXPECT_GT(made, 20u);
  }
  set_parallel_threads(0);
}

TEST(Decoder, SequencesThatShareAPrefixGoOnFromIt) {
  auto model = a_model();
  for (int64_t length : {1, 7, 16, 17, 50}) {
    Decoder decoder(*model, {.window = window(PastBlock::block), .batch_size = 3});
    decoder.add(random_tokens(9, 8));
    decoder.step();
    Decoder::Prefix prefix = decoder.prefill(random_tokens(length, 9));
    decoder.add(prefix);
    decoder.add(prefix);
    EXPECT_EQ(decoder.logits(1), read_alone(*model, prefix.tokens, window(PastBlock::block)));
    decoder.append(1, Tokens{1});
    decoder.append(2, Tokens{2});
    decoder.step();
    for (int64_t row : {0, 1, 2})
      EXPECT_EQ(decoder.logits(row),
                read_alone(*model, decoder.tokens(row), window(PastBlock::block)))
          << length << ", row " << row;
  }
}

// Inside a window's forward pass; the sequences are as they were, and the next step reads all.
TEST(Decoder, AnInterruptedStepCanBeMadeAgain) {
  auto model = a_model();
  for (PastBlock past_block : {PastBlock::block, PastBlock::slide}) {
    ContextWindow w = window(past_block, past_block == PastBlock::block ? 5 : 0);
    Decoder decoder(*model, {.window = w, .batch_size = 2});
    decoder.add(random_tokens(3, 1));
    decoder.add(random_tokens(9, 2));
    for (int64_t step = 0; step < 3 * T; ++step) {
      {
        Interruptible scope;
        request_stop(SIGINT);
        EXPECT_THROW(decoder.step(), Interrupted);
        forget_stop();
      }
      decoder.step();
      for (int64_t row : {0, 1}) {
        ASSERT_EQ(decoder.logits(row), read_alone(*model, decoder.tokens(row), w));
        decoder.append(row, random_tokens(step % 3 ? 1 : 2, uint32_t(step)));
      }
    }
  }
}

TEST(Decoder, ErrorsSayWhatIsWrong) {
  auto model = a_model();
  Decoder decoder(*model, {.window = window(PastBlock::block)});
  EXPECT_THROW(decoder.add(Tokens{}), Error);
  decoder.add(Tokens{1});
  EXPECT_THROW(decoder.add(Tokens{1}), Error);
  EXPECT_THROW(Decoder(*model, {.window = {2 * T, PastBlock::block}}), Error);
}

}  // namespace
}  // namespace folio

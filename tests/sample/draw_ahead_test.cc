// Tokens that the host does not wait for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "sample/decoder.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::vector<RowDraw> draws(int64_t rows, int64_t number) {
  std::vector<RowDraw> all;
  for (int64_t row = 0; row < rows; ++row) all.push_back({{3, uint64_t(row)}, uint64_t(number)});
  return all;
}

void start(Decoder& decoder) {
  for (int64_t length : {3, 1, 14}) decoder.add(random_tokens(length, uint32_t(length)));
}

// Over more draws than can be ahead, past the context, and with a look at the tokens now and then.
TEST(DrawAhead, GivesTheTokensThatDrawingOneByOneGives) {
  auto model = a_model();
  for (PastBlock past_block : {PastBlock::block, PastBlock::slide})
    for (bool kv_cache : {true, false})
      for (bool record : {true, false}) {
        const Decoder::Options options{.window = {T, past_block},
                                       .batch_size = 4,
                                       .kv_cache = kv_cache,
                                       .tokens = V - 2,
                                       .record = record};
        Decoder one_by_one(*model, options), ahead(*model, options);
        start(one_by_one);
        start(ahead);
        for (int64_t i = 0; i < 150; ++i) {
          one_by_one.step();
          const Tokens tokens = one_by_one.draw({.top_k = 20}, draws(3, i));
          for (int64_t row = 0; row < 3; ++row)
            one_by_one.append(row, std::span(tokens).subspan(size_t(row), 1));
          ahead.step();
          ahead.draw_ahead({.top_k = 20}, draws(3, i));
          if (i % 90 == 7) {
            ASSERT_EQ(ahead.tokens(1), one_by_one.tokens(1)) << i;
          }
          if (i == 100) {
            one_by_one.append(0, Tokens{1, 2});
            ahead.append(0, Tokens{1, 2});
          }
        }
        one_by_one.step();
        ahead.step();
        for (int64_t row = 0; row < 3; ++row) {
          EXPECT_EQ(ahead.logits(row), one_by_one.logits(row));
          EXPECT_EQ(ahead.length(row), one_by_one.length(row));
          EXPECT_EQ(ahead.tokens(row), one_by_one.tokens(row));
        }
      }
}

TEST(DrawAhead, LogitsThatAreNotFiniteAreAnErrorOfTheirToken) {
  auto model = dense_model();
  model->parameters([](const std::string& name, Parameter& p) {
    if (name != "transformer.wpe.weight") return;
    std::vector<float> values = to_vector<float>(p.array());
    values[size_t(9 * p.array().dim(1))] = std::numeric_limits<float>::quiet_NaN();
    backend(p.array())->memory.write(values.data(), const_cast<Array&>(p.array()));
  });
  model->pack(WeightFormat::f32);
  Decoder decoder(*model, {.window = {T, PastBlock::block}, .batch_size = 2});
  decoder.add(random_tokens(1, 1));
  decoder.add(random_tokens(5, 2));  // reads position 9 in its sixth step
  for (int64_t i = 0; i < 8; ++i) {
    decoder.step();
    decoder.draw_ahead({}, draws(2, i));
  }
  EXPECT_THAT(message_of([&] { decoder.tokens(0); }),
              HasSubstr("sample 2, token 6: the model gives a logit that is NaN or infinite"));
}

TEST(DrawAhead, APenaltyNeedsTheTokens) {
  auto model = a_model();
  Decoder decoder(*model, {.window = {T, PastBlock::block}});
  decoder.add(random_tokens(1, 1));
  decoder.step();
  EXPECT_THROW(decoder.draw_ahead({.repetition_penalty = 2}, draws(1, 0)), Error);
  EXPECT_THROW(decoder.draw_ahead({}, draws(2, 0)), Error);
}

}  // namespace
}  // namespace folio

// What a sequence has read of its new beginning stays read, and the logits are those of a sequence
// that was read at once.
#include <gtest/gtest.h>

#include "sample/decoder.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

// A sequence becomes others in turn; each is read as if it were new.
void expect_replaced(Gpt& model, const Decoder::Options& options, int64_t length,
                     const std::vector<std::pair<int64_t, int64_t>>& keeps, bool counts = false) {
  Decoder decoder(model, options);
  Tokens tokens = random_tokens(length, 1);
  decoder.add(tokens);
  decoder.step();
  uint32_t seed = 2;
  for (auto [kept, added] : keeps) {
    tokens.resize(size_t(kept));
    for (int32_t token : random_tokens(added, ++seed)) tokens.push_back(token);
    const int64_t before = decoder.tokens_run();
    decoder.replace(0, tokens);
    decoder.step();
    Decoder fresh(model, options);
    fresh.add(tokens);
    fresh.step();
    EXPECT_EQ(decoder.logits(0), fresh.logits(0)) << kept << " and " << added;
    if (counts) {
      EXPECT_EQ(decoder.tokens_run() - before, added > 0 ? added : 1) << kept << " and " << added;
    }
  }
}

TEST(Replace, OnlyWhatIsNewIsRun) {
  auto model = a_model();
  for (bool kv_cache : {true, false})
    expect_replaced(*model, {.window = {T, PastBlock::block}, .kv_cache = kv_cache}, 9,
                    {{9, 3}, {5, 2}, {4, 0}, {0, 12}, {12, 4}, {1, 1}}, kv_cache);
}

TEST(Replace, PastTheContextWindowsMoveAsOfANewSequence) {
  auto model = a_model();
  for (PastBlock past : {PastBlock::block, PastBlock::slide})
    expect_replaced(*model, {.window = {T, past}}, 3 * T + 5,
                    {{3 * T + 5, 1}, {3 * T, 2}, {3 * T - 9, 3}, {T, 0}, {T - 3, 2 * T}, {2, 1}});
}

// A ring of 128 positions has forgotten what was before them.
TEST(Replace, ARingGoesBackAsFarAsItRemembers) {
  auto model = packed(dense_model(endless_config()));
  const Decoder::Options options{.window = {T, PastBlock::window}};
  expect_replaced(
      *model, options, 300,
      {{299, 1}, {290, 5}, {250, 1}, {200, 200}, {283, 0}, {282, 4}, {100, 3}, {103, 150}});
  for (int64_t back : {ring - W, ring - W + 1, ring - W + 2, ring - 1, ring, ring + 1})
    expect_replaced(*model, options, 400, {{400 - back, 1}});
}

}  // namespace
}  // namespace folio

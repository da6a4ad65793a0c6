// The loss by position against what samples' own steps say of each token.
#include "sample/loss_by_position.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>

#include "core/process/stop.h"
#include "data/files/files.h"
#include "sample/decoder.h"
#include "sample/logprobs.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

struct Split {
  explicit Split(int64_t length) : tokens(random_tokens(length, 5)) {
    std::string bytes;
    for (int32_t token : tokens) bytes += {char(token), 0};
    write_file(folder / "val.bin", bytes);
  }
  TokenFile file() const { return TokenFile(folder / "val.bin", V); }

  TemporaryFolder folder;
  Tokens tokens;
};

// Of the n tokens from `first` on, of a text that begins `before` tokens earlier.
double loss_after(Gpt& model, const Tokens& split, const ContextWindow& window, int64_t first,
                  int64_t before, int64_t n) {
  Decoder decoder(model, {.window = window});
  double sum = 0;
  decoder.add(Tokens(split.begin() + first - before, split.begin() + first));
  for (int64_t t = first; t < first + n; ++t) {
    decoder.step();
    sum -= std::log(token_probabilities(decoder.logits(0), split[size_t(t)], 0)[0].probability);
    decoder.append(0, std::span(split).subspan(size_t(t), 1));
  }
  return sum / double(n);
}

void expect_loss_of_steps(const GptConfig& config, int64_t bands, int64_t tokens,
                          int64_t segments) {
  auto model = packed(dense_model(config));
  const int64_t T = config.block_size, first = bands + 2 - segments;
  const Split split((bands + 2) * T + 1 + T / 2);
  for (PastBlock past_block : {PastBlock::window, PastBlock::block, PastBlock::slide}) {
    const ContextWindow window(T, past_block);
    const PositionLoss got = loss_by_position(*model, split.file(), window, bands, tokens, 4);
    EXPECT_EQ(got.tokens, segments * T);
    ASSERT_EQ(std::ssize(got.bands), bands);
    for (int64_t band = 0; band < bands; ++band) {
      double expected = 0;
      for (int64_t segment = first; segment < first + segments; ++segment)
        expected += loss_after(*model, split.tokens, window, segment * T + 1, band * T + 1, T) /
                    double(segments);
      EXPECT_NEAR(got.bands[size_t(band)], expected, 1e-4)
          << name_of(past_block) << ", band " << band << ", T " << T;
    }
  }
}

// Of as many tokens as there are, and of fewer.
TEST(LossByPosition, IsThatOfTheStepsOfASample) {
  expect_loss_of_steps(endless_config(), 4, 0, 3);
  expect_loss_of_steps(endless_config(), 4, T + 1, 2);
  GptConfig large = endless_config();
  large.block_size = 128;  // more than a ring takes at once
  expect_loss_of_steps(large, 2, 1, 1);
}

TEST(LossByPosition, ErrorsSayWhatIsWrong) {
  auto model = a_model();
  const Split split(4 * T);
  const ContextWindow window(T, PastBlock::block);
  EXPECT_EQ(loss_by_position(*model, split.file(), window, 3, 0, 9).tokens, T);
  EXPECT_THAT(message_of([&] { loss_by_position(*model, split.file(), window, 4, 0, 9); }),
              testing::HasSubstr("needs 65 tokens, but there are 64"));
  request_stop(SIGTERM);
  EXPECT_THROW(loss_by_position(*model, split.file(), window, 3, 0, 9), Interrupted);
  forget_stop();
}

}  // namespace
}  // namespace folio

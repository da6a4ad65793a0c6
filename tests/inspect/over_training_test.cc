#include "inspect/over_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "inspect/captures.h"
#include "tests/data/temporary_folder.h"
#include "tests/inspect/models.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

TokenFile split_of(const TemporaryFolder& folder, int64_t tokens) {
  std::string bytes;
  for (int64_t i = 0; i < tokens; ++i) bytes += {char(i * i % 11), 0};
  write_file(folder / "val.bin", bytes);
  return {folder / "val.bin", 11};
}

double deviation(const std::vector<float>& values) {
  double mean = 0, squares = 0;
  for (float x : values) mean += x / double(values.size());
  for (float x : values) squares += (x - mean) * (x - mean) / double(values.size());
  return std::sqrt(squares);
}

TEST(InsideState, HasTheLossAndTheSpreadOfItsTexts) {
  TemporaryFolder folder;
  const TokenFile val = split_of(folder, 100);
  for (const auto& [name, config] : inspected_models()) {
    Gpt model(config, test_device());
    draw(model);
    const InsideState state = inside_state(model, val, 7);
    EXPECT_EQ(state.iter, 7);
    EXPECT_EQ(state.heads.size(), size_t(2 * config.n_head));
    ASSERT_EQ(state.loss_by_position.size(), 8u);
    ASSERT_EQ(state.spread.size(), 5u);
    // The same texts as one batch, and one by one.
    std::vector<int32_t> x, y, text(13);
    double first = 0, last = 0;
    for (int64_t i = 0; i < 16; ++i) {
      val.read((100 - 13) * i / 16, text);
      x.insert(x.end(), text.begin(), text.end() - 1);
      y.insert(y.end(), text.begin() + 1, text.end());
      const Captures seen = capture(model, std::span(text).first(12));
      first += deviation(seen.at("embedding").values) / 16;
      last += deviation(seen.at("h.1.output").values) / 16;
    }
    EXPECT_NEAR(state.spread[0], first, 1e-5);
    EXPECT_NEAR(state.spread[4], last, 1e-5);
    NoGrad no_grad;
    auto ids = [&](const std::vector<int32_t>& tokens) {
      return token_ids(tokens, {16, 12}, 11, test_device(), "test");
    };
    const HostArray logits = on_host(model(ids(x)).array());
    std::vector<double> sums(8, 0), counts(8, 0);
    for (int64_t i = 0; i < 16 * 12; ++i) {
      const auto band = size_t(i % 12 * 8 / 12);
      sums[band] -= std::log(softmax_of(logits.row(i))[size_t(y[size_t(i)])]);
      ++counts[band];
    }
    for (size_t band = 0; band < 8; ++band)
      EXPECT_NEAR(state.loss_by_position[band], sums[band] / counts[band], 1e-5) << name << band;
  }
}

// A run's dropout masks, and so its losses, must not depend on whether somebody looked.
TEST(InsideState, DrawsNothingAndLeavesTheModelTraining) {
  TemporaryFolder folder;
  const TokenFile val = split_of(folder, 100);
  GptConfig config = inspected_models()[0].second;
  config.dropout = 0.5;
  Gpt model(config, test_device(), 3);
  const InsideState calm = inside_state(model, val, 0);
  model.context().training = true;
  const uint64_t drawn = model.context().random.drawn;
  EXPECT_EQ(inside_state(model, val, 0).loss_by_position, calm.loss_by_position);
  EXPECT_EQ(model.context().random.drawn, drawn);
  EXPECT_TRUE(model.context().training);
}

TEST(InsideState, OfTooShortASplitHasTheScoresAlone) {
  TemporaryFolder folder;
  Gpt model(inspected_models()[0].second, test_device(), 3);
  const InsideState state = inside_state(model, split_of(folder, 12), 0);
  EXPECT_EQ(state.heads.size(), 4u);
  EXPECT_TRUE(state.loss_by_position.empty());
}

class InsideLogs : public testing::Test {
 protected:
  static InsideState state(int64_t iter) {
    return {.iter = iter,
            .heads = {{.layer = 0,
                       .head = 1,
                       .previous = 0.75,
                       .same = 0.125,
                       .first = 0.5,
                       .induction = 0.25}},
            .loss_by_position = {4.5, 3.25},
            .spread = {1.5}};
  }
  std::vector<int64_t> iters() const {
    std::vector<int64_t> found;
    for (const InsideState& s : load_inside(path)) found.push_back(s.iter);
    return found;
  }
  TemporaryFolder folder;
  std::string path = folder / "inside.jsonl";
};

TEST_F(InsideLogs, KeepWhatTheyAreGiven) {
  EXPECT_TRUE(load_inside(path).empty());
  InsideLog log(path, 0);
  for (int64_t iter : {0, 4, 8}) log.add(state(iter));
  EXPECT_EQ(iters(), (std::vector<int64_t>{0, 4, 8}));
  const InsideState read = load_inside(path)[1];
  EXPECT_EQ(read.heads.at(0).first, 0.5);
  EXPECT_EQ(read.heads.at(0).kind, "previous");
  EXPECT_EQ(read.loss_by_position, (std::vector<double>{4.5, 3.25}));
  EXPECT_LT(read_file(path).size(), 400u);
}

// A resumed run comes again to what it had evaluated after its last state was saved.
TEST_F(InsideLogs, GoOnFromAnIteration) {
  {
    InsideLog log(path, 0);
    for (int64_t iter : {0, 4, 8}) log.add(state(iter));
  }
  {
    InsideLog log(path, 8);
    EXPECT_EQ(iters(), (std::vector<int64_t>{0, 4}));
    log.add(state(8));
  }
  EXPECT_EQ(iters(), (std::vector<int64_t>{0, 4, 8}));
  InsideLog again(path, 0);
  EXPECT_TRUE(iters().empty());
}

TEST_F(InsideLogs, ALineThatWasCutOffIsLeftOutAndAnyOtherIsAnError) {
  InsideLog(path, 0).add(state(0));
  const std::string whole = read_file(path);
  write_file(path, whole + whole.substr(0, 20));
  EXPECT_EQ(iters(), std::vector<int64_t>{0});
  for (const char* line : {"nonsense\n", "{\"iter\":1}\n", "[]\n", "{\"iter\":\"x\"}\n"}) {
    write_file(path, whole + line);
    EXPECT_THAT(message_of([&] { load_inside(path); }), HasSubstr("inside.jsonl:2: not"));
  }
}

}  // namespace
}  // namespace folio

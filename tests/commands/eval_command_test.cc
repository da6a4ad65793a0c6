// `folio eval`.
#include "commands/eval_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "checkpoint/hugging_face.h"
#include "checkpoint/model_file.h"
#include "checkpoint/quantized_file.h"
#include "core/process/stop.h"
#include "sample/loss_by_position.h"
#include "tests/command.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"
#include "train/run.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::string eval(std::vector<std::string> args) {
  args.push_back("--device=" + name_of(test_device()));
  return output_of(eval_command, std::move(args));
}

TEST(EvalCommand, EvaluatesACheckpointAndWhatItIsExportedToAlike) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  folio::Run run(options, {});
  std::filesystem::create_directories(options.out_dir);
  save(best_checkpoint(options.out_dir), run.snapshot());
  double train = whole_split_loss(*run.model, run.data.train, 16, 5).loss;
  double val = whole_split_loss(*run.model, run.data.val, 16, 5).loss;

  std::string text = eval({"--out_dir=" + options.out_dir, "--json", "--stride=5"});
  nlohmann::json figures = nlohmann::json::parse(text);
  EXPECT_NEAR(figures.at("train_loss"), train, 1e-6);
  EXPECT_NEAR(figures.at("val_loss"), val, 1e-6);
  EXPECT_NEAR(figures.at("val_perplexity"), std::exp(val), 1e-4);
  EXPECT_EQ(figures.at("train_tokens"), run.data.train.size() - 1);
  EXPECT_EQ(figures.at("val_bytes"), run.data.val.size() - 1);  // ASCII
  EXPECT_NEAR(figures.at("val_bits_per_byte"), val / std::log(2.0), 1e-6);
  EXPECT_NEAR(figures.at("train_bits_per_byte"), train / std::log(2.0), 1e-6);
  EXPECT_EQ(figures.at("val_tokens"), run.data.val.size() - 1);

  folio::Run packed(options, {});
  packed.model->pack(WeightFormat::int4);
  double val_int4 = whole_split_loss(*packed.model, packed.data.val, 16).loss;
  figures =
      nlohmann::json::parse(eval({"--out_dir=" + options.out_dir, "--json", "--weights=int4"}));
  EXPECT_NEAR(figures.at("val_loss"), val_int4, 1e-6);
  EXPECT_THAT(eval({"--out_dir=" + options.out_dir, "--weights=int3"}), HasSubstr("int4"));

  std::string quantized = folder / "int4.h5";
  CheckpointFile file = quantize(*folio::Run(options, {}).model, WeightFormat::int4);
  put_tokenizer(file, *run.data.meta.tokenizer);
  save(quantized, file);
  std::vector<std::string> from_file{"--init_from=" + quantized, "--data_dir=" + options.data_dir,
                                     "--dataset=tiny", "--json"};
  EXPECT_EQ(nlohmann::json::parse(eval(from_file)), figures);
  from_file.push_back("--weights=int8");
  EXPECT_THAT(eval(from_file), HasSubstr("saved as int4 and cannot become int8"));

  std::string exported = folder / "exported";
  save_hugging_face(exported, *run.model, run.data.meta.tokenizer.get());
  std::string init_from = "--init_from=" + exported, data_dir = "--data_dir=" + options.data_dir;
  figures =
      nlohmann::json::parse(eval({init_from, data_dir, "--dataset=tiny", "--json", "--stride=5"}));
  EXPECT_NEAR(figures.at("val_loss"), val, 1e-6);
  EXPECT_THAT(eval({init_from, data_dir}), HasSubstr("name a dataset with --dataset"));
  EXPECT_THAT(eval({init_from, data_dir, "--dataset=tiny", "--stride=4"}),
              HasSubstr("windows of 16 tokens, 4 apart: 12 or more of context"));
}

// What a token costs, spread over its bytes.
TEST(EvalCommand, SaysTheBitsPerByteOfATokenizersText) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.dataset = "own";
  prepare({.name = "own",
           .input = folder / "input.txt",
           .data_dir = options.data_dir,
           .tokenizer = "bpe",
           .vocab_size = 280});
  folio::Run run(options, {});
  std::filesystem::create_directories(options.out_dir);
  save(best_checkpoint(options.out_dir), run.snapshot());
  nlohmann::json figures = nlohmann::json::parse(eval({"--out_dir=" + options.out_dir, "--json"}));
  std::vector<int32_t> ids(size_t(run.data.val.size() - 1));
  run.data.val.read(1, ids);
  double bytes = double(run.data.meta.tokenizer->decode(ids).size());
  ASSERT_GT(bytes, 1.5 * double(ids.size()));
  EXPECT_EQ(figures.at("val_bytes"), bytes);
  EXPECT_NEAR(figures.at("val_bits_per_byte"),
              figures.at("val_loss").get<double>() / std::log(2.0) * double(ids.size()) / bytes,
              1e-9);
  EXPECT_THAT(
      eval({"--out_dir=" + options.out_dir}),
      HasSubstr(fmt::format("{:.3f} bits per byte, over {} tokens of {} bytes",
                            figures.at("val_bits_per_byte").get<double>(), ids.size(), bytes)));
}

TEST(EvalCommand, SaysTheLossByPosition) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.model.position = "rotary";
  folio::Run run(options, {});
  std::filesystem::create_directories(options.out_dir);
  save(best_checkpoint(options.out_dir), run.snapshot());
  const std::string out_dir = "--out_dir=" + options.out_dir;
  auto expected = [&](PastBlock past_block, int64_t tokens) {
    return loss_by_position(*run.model, run.data.val, {16, past_block}, 3, tokens, 8).bands;
  };
  auto expect_near = [](const nlohmann::json& got, const std::vector<double>& bands) {
    ASSERT_EQ(got.size(), bands.size());
    for (size_t i = 0; i < bands.size(); ++i) EXPECT_NEAR(got[i], bands[i], 1e-6);
  };
  auto json =
      nlohmann::json::parse(eval({out_dir, "--by_position=3", "--json", "--eval_tokens=0"}));
  EXPECT_EQ(json.at("block_size"), 16);
  EXPECT_EQ(json.at("tokens"), (run.data.val.size() - 1) / 16 * 16 - 32);
  EXPECT_EQ(json.at("window_is_approximate"), false);
  EXPECT_EQ(json.at("val_loss").size(), 1u);
  expect_near(json.at("val_loss").at("block"), expected(PastBlock::block, 0));
  EXPECT_THAT(eval({out_dir, "--by_position=3", "--past_block=window"}), HasSubstr("--window=W"));

  run.model->set_attention_window(5);
  json = nlohmann::json::parse(
      eval({out_dir, "--by_position=3", "--json", "--window=5", "--past_block=window",
            "--past_block=slide", "--eval_tokens=60"}));
  EXPECT_EQ(json.at("tokens"), 64);
  EXPECT_EQ(json.at("window_is_approximate"), true);
  EXPECT_EQ(json.at("val_loss").size(), 2u);
  expect_near(json.at("val_loss").at("window"), expected(PastBlock::window, 60));
  expect_near(json.at("val_loss").at("slide"), expected(PastBlock::slide, 60));
  EXPECT_THAT(eval({out_dir, "--by_position=2", "--window=5"}),
              testing::ContainsRegex("past_block  window   block\n +1 to +16  [0-9.]+  [0-9.]+\n"
                                     " +17 to +32  [0-9.]+  [0-9.]+\n"));
  EXPECT_THAT(eval({out_dir, "--past_block=block"}), HasSubstr("no effect without by_position"));
  EXPECT_THAT(eval({out_dir, "--by_position=2", "--stride=4"}), HasSubstr("no effect with"));
}

TEST(EvalCommand, AStopEndsItWithoutAResult) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  folio::Run run(options, {});
  std::filesystem::create_directories(options.out_dir);
  save(best_checkpoint(options.out_dir), run.snapshot());
  request_stop(SIGTERM);
  EXPECT_THROW(whole_split_loss(*run.model, run.data.val, 16), Interrupted);
  EXPECT_THROW(eval({"--out_dir=" + options.out_dir}), Interrupted);
  forget_stop();
}

TEST(EvalCommand, AnotherVocabularyIsRefused) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  folio::Run run(options, {});
  std::filesystem::create_directories(options.out_dir);
  save(best_checkpoint(options.out_dir), run.snapshot());
  std::ofstream(folder / "other.txt") << "abcdefghijklmnop";
  prepare({.name = "other", .input = folder / "other.txt", .data_dir = options.data_dir});
  std::vector<std::string> args = {"--out_dir=" + options.out_dir, "--dataset=other"};
  EXPECT_THAT(eval(args), HasSubstr("another vocabulary"));
  args.push_back("--allow_other_vocab=true");
  EXPECT_THAT(eval(args), HasSubstr("val   loss"));
}

}  // namespace
}  // namespace folio

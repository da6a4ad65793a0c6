// `folio bench sample`: which model it times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/model_file.h"
#include "commands/bench/bench_sample_command.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/command.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"

namespace folio {
namespace {

const std::vector<std::string> quick = {"--json", "--iters=1", "--weights=float32",
                                        "--num_samples=1", "--uncached_tokens=0"};

nlohmann::json bench(std::vector<std::string> args) {
  args.insert(args.end(), quick.begin(), quick.end());
  args.push_back("--device=" + name_of(test_device()));
  return nlohmann::json::parse(output_of(bench_sample_command, args));
}

void save_model(const std::filesystem::path& path, int64_t n_embd) {
  Gpt model({.block_size = 8, .vocab_size = 4, .n_layer = 1, .n_head = 1, .n_embd = n_embd},
            test_device(), 1);
  CheckpointFile file;
  put_parameters(file, model);
  put_tokenizer(file, CharTokenizer(U"abcd"));
  save(path, file);
}

TEST(BenchSample, TakesEitherCheckpointOfARun) {
  TemporaryFolder out;
  save_model(best_checkpoint(out.path()), 8);
  save_model(last_checkpoint(out.path()), 16);
  std::vector<std::string> run{"--init_from=resume", "--out_dir=" + out.path()};
  EXPECT_EQ(bench(run).at("n_embd"), 8);
  run.push_back("--checkpoint=last");
  EXPECT_EQ(bench(run).at("n_embd"), 16);
  EXPECT_THAT(output_of(bench_sample_command, {"--checkpoint=newest"}),
              testing::HasSubstr("checkpoint: must be \"best\" or \"last\", got \"newest\""));
}

TEST(BenchSample, TimesAModelOfTheFieldsThatAreGiven) {
  nlohmann::json json = bench({"--block_size=16", "--n_layer=1", "--n_head=2", "--n_embd=8",
                               "--vocab_size=11", "--bias=true", "--activation=gelu_tanh"});
  EXPECT_EQ(json.at("block_size"), 16);
  EXPECT_EQ(json.at("n_head"), 2);
  EXPECT_EQ(json.at("vocab_size"), 11);
  EXPECT_EQ(json.at("bias"), true);
  EXPECT_EQ(json.at("activation"), "gelu_tanh");
}

TEST(BenchSample, ATextGoesOnWithoutEndWhereTheModelCan) {
  std::vector<std::string> args{"--block_size=16",    "--n_layer=1",        "--n_head=2",
                                "--n_embd=8",         "--vocab_size=11",    "--position=rotary",
                                "--prompt_tokens=30", "--max_new_tokens=5", "--attention_window=5"};
  nlohmann::json json = bench(args);
  EXPECT_EQ(json.at("rows")[0].at("past_block"), "window");
  EXPECT_EQ(json.at("window_is_approximate"), false);
  const auto bytes = json.at("rows")[0].at("kv_cache_bytes");
  args.back() = "--window=5";
  args[7] = "--max_new_tokens=110";
  json = bench(args);
  EXPECT_EQ(json.at("rows")[0].at("past_block"), "window");
  EXPECT_EQ(json.at("rows")[0].at("kv_cache_bytes"), bytes);
  EXPECT_EQ(json.at("window_is_approximate"), true);
  EXPECT_EQ(json.at("attention_window"), 5);
  args.back() = "--position=learned";
  args[7] = "--max_new_tokens=5";
  EXPECT_EQ(bench(args).at("rows")[0].at("past_block"), "block");
  args.push_back("--past_block=window");
  EXPECT_THAT(output_of(bench_sample_command, args), testing::HasSubstr("position=learned"));
}

// The host waits for a device, but not for its own CPU.
TEST(BenchSample, SaysWhatOfAStepIsLaunchesAndWaits) {
  const std::string text = output_of(
      bench_sample_command,
      {"--block_size=16", "--n_layer=1", "--n_head=2", "--n_embd=8", "--vocab_size=11", "--iters=1",
       "--weights=float32", "--num_samples=1", "--prompt_tokens=3", "--max_new_tokens=6",
       "--uncached_tokens=6", "--device=" + name_of(test_device())});
  EXPECT_THAT(text, testing::HasSubstr("without"));
  const auto waits =
      testing::ContainsRegex("Launches and waits are [0-9]+ % of [0-9.]+ ms with the cache");
  if (test_device() == cpu)
    EXPECT_THAT(text, testing::Not(waits));
  else
    EXPECT_THAT(text, waits);
}

}  // namespace
}  // namespace folio

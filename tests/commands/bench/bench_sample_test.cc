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

}  // namespace
}  // namespace folio

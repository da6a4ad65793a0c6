// `folio bench train`: any vocabulary that token files hold, and nothing left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <map>
#include <nlohmann/json.hpp>

#include "commands/bench/bench_train_command.h"
#include "core/process/stop.h"
#include "tests/command.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// The program's temporary files go to a folder of the test's own.
class BenchTrain : public testing::Test {
 protected:
  BenchTrain() { setenv("TMPDIR", folder_.path().c_str(), 1); }
  ~BenchTrain() override {
    forget_stop();
    unsetenv("TMPDIR");
  }
  static std::string bench(const std::string& option) {
    return output_of(bench_train_command,
                     {"--n_layer=1", "--n_head=1", "--n_embd=4", "--block_size=8", "--batch_size=1",
                      "--gradient_accumulation_steps=1", "--iters=1", "--json",
                      "--device=" + name_of(test_device()), option});
  }
  bool nothing_left() const { return fs::is_empty(folder_.path()); }

  TemporaryFolder folder_;
};

// More characters than there are before the surrogates of UTF-16, which are none.
TEST_F(BenchTrain, AnyVocabularyWithIdsOf16And32Bits) {
  for (std::string size : {"1", "55263", "55264", "65536", "65537"})
    EXPECT_THAT(bench("--vocab_size=" + size), HasSubstr("\"median_ms\":")) << size;
  for (std::string size : {"0", "1000001"})
    EXPECT_EQ(bench("--vocab_size=" + size),
              "command line: vocab_size: must be 1 to 1000000, got " + size);
  EXPECT_TRUE(nothing_left());
}

// (6 N + 12 L H Q T) D of Chowdhery et al., "PaLM", 2022, appendix B, for D tokens, with N the
// weights of the matrices and half of the attention, whose other half the causal mask leaves out.
TEST_F(BenchTrain, CountsTheFlopsOfThePaper) {
  const nlohmann::json json = nlohmann::json::parse(
      output_of(bench_train_command,
                {"--n_layer=3", "--n_head=2", "--n_embd=16", "--block_size=10", "--batch_size=5",
                 "--gradient_accumulation_steps=2", "--vocab_size=70", "--bias=true", "--iters=1",
                 "--json", "--device=" + name_of(test_device())}));
  const double L = 3, H = 2, Q = 8, T = 10, C = H * Q, N = L * 12 * C * C + 70 * C;
  const double gflop = (6 * N + 12 * L * H * Q * T / 2) * (5 * 2 * T) / 1e9;
  EXPECT_DOUBLE_EQ(json.at("gflop_per_iteration"), gflop);
  const double seconds = json.at("median_ms").get<double>() / 1e3;
  EXPECT_DOUBLE_EQ(json.at("share_of_peak"),
                   gflop / seconds / json.at("peak_gflops").get<double>());
  EXPECT_DOUBLE_EQ(json.at("tokens_per_second"), 5 * 2 * T / seconds);
}

// The operations of an iteration do its multiply-adds and no others, and their times are its time.
TEST_F(BenchTrain, OperationsAddUpToTheIteration) {
  const nlohmann::json json = nlohmann::json::parse(output_of(
      bench_train_command,
      {"--n_layer=3", "--n_head=2", "--n_embd=16", "--block_size=10", "--batch_size=5",
       "--gradient_accumulation_steps=2", "--vocab_size=70", "--bias=true", "--dropout=0.1",
       "--iters=1", "--profiled_iters=3", "--json", "--device=" + name_of(test_device())}));
  const double peak = json.at("peak_gflops").get<double>() * 1e9;
  double flops = 0, time = 0;
  std::map<std::string, double> calls;
  for (const nlohmann::json& row : json.at("operations")) {
    flops += row.at("share_of_peak").get<double>() * peak * row.at("ms").get<double>() / 1e3;
    time += row.at("share_of_time").get<double>();
    calls[row.at("name")] = row.at("calls");
  }
  EXPECT_NEAR(flops / 1e9 / json.at("gflop_per_iteration").get<double>(), 1, 1e-12);
  EXPECT_NEAR(time, 1, 1e-12);
  EXPECT_EQ(calls["attention"], 3 * 2);  // a layer and micro-batch
  EXPECT_EQ(calls["attention, gradient"], 3 * 2);
  EXPECT_EQ(calls["AdamW::step"], 1);
}

TEST_F(BenchTrain, AStopLeavesNoFolderBehind) {
  request_stop(SIGTERM);
  EXPECT_THROW(bench("--vocab_size=65"), Interrupted);
  EXPECT_TRUE(nothing_left());
}

TEST_F(BenchTrain, AnErrorLeavesNoFolderBehind) {
  EXPECT_THAT(bench("--n_head=3"), HasSubstr("must be divisible"));
  EXPECT_TRUE(nothing_left());
}

}  // namespace
}  // namespace folio

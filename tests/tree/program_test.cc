// `folio` itself: finding a command, help, and what goes where with which exit status.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "tests/paths.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct Result {
  int status = -1;
  std::string text;
};

// Runs `folio ARGUMENTS` through the shell; the text is what came through `stream`.
Result run(const std::string& arguments, const std::string& stream) {
  std::string redirect = stream == "stdout" ? "2>/dev/null" : "2>&1 >/dev/null";
  std::string line = fmt::format("'{}' {} {}", folio_program(), arguments, redirect);
  FILE* pipe = ::popen(line.c_str(), "r");
  Result result;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    result.text.append(buffer.data(), n);
  result.status = WEXITSTATUS(::pclose(pipe));
  return result;
}

TEST(Program, HelpGoesToStandardOutput) {
  Result result = run("--help", "stdout");
  EXPECT_EQ(result.status, 0);
  for (std::string name : {"prepare", "download", "train", "eval", "export", "quantize", "sample",
                           "bench train", "bench sample", "inspect"})
    EXPECT_THAT(result.text, HasSubstr("\n  " + name + " "));
  EXPECT_THAT(run("--help", "stderr").text, IsEmpty());
}

TEST(Program, EveryCommandHasItsOwnHelp) {
  for (std::string name : {"prepare", "download", "train", "eval", "export", "quantize", "sample",
                           "bench train", "bench sample", "inspect"}) {
    Result result = run(name + " --help", "stdout");
    EXPECT_EQ(result.status, 0) << name;
    EXPECT_THAT(result.text, HasSubstr("--")) << name;
  }
  EXPECT_THAT(run("train --help", "stdout").text, HasSubstr("--gradient_accumulation_steps"));
  // A pipe is no terminal: 80 columns.
  for (std::string name : {"train", "sample", "bench sample", "prepare", "download"}) {
    std::istringstream help(run(name + " --help", "stdout").text);
    for (std::string line; std::getline(help, line);) EXPECT_LE(line.size(), 80u) << line;
  }
  EXPECT_THAT(run("sample --help", "stdout").text, HasSubstr("--max_new_tokens"));
}

TEST(Program, HelpBeforeACommandIsHelpAfterIt) {
  for (std::string name : {"train", "bench sample", "prepare"}) {
    Result result = run("help " + name, "stdout");
    EXPECT_EQ(result.status, 0) << name;
    EXPECT_EQ(result.text, run(name + " --help", "stdout").text) << name;
  }
  EXPECT_EQ(run("help", "stdout").text, run("--help", "stdout").text);
  Result bench = run("bench --help", "stdout");
  EXPECT_EQ(bench.status, 0);
  EXPECT_THAT(bench.text, StartsWith("usage: folio bench COMMAND"));
  EXPECT_THAT(bench.text, HasSubstr("\n  tokenizer "));
  EXPECT_THAT(bench.text, Not(HasSubstr("quantize")));
  EXPECT_EQ(run("help bench", "stdout").text, bench.text);
  EXPECT_EQ(run("help trian", "stderr").text,
            "folio: unknown command \"trian\"; did you mean \"train\"?\n");
}

TEST(Program, BenchCommandsListWhatTheyUseAndRefuseTheRest) {
  std::string train = run("bench train --help", "stdout").text;
  for (std::string used : {"--n_layer=", "--dtype=", "--batch_size=", "--iters="})
    EXPECT_THAT(train, HasSubstr(used));
  for (std::string other : {"--out_dir=", "--dataset=", "--eval_iters=", "--init_from="})
    EXPECT_THAT(train, Not(HasSubstr(other)));
  std::string sample = run("bench sample --help", "stdout").text;
  for (std::string other : {"--dataset=", "--learning_rate=", "--dropout=", "--recompute="})
    EXPECT_THAT(sample, Not(HasSubstr(other)));
  EXPECT_THAT(run("bench train --out_dir=x", "stderr").text,
              StartsWith("folio: command line: out_dir: this command has no use for it"));
  EXPECT_THAT(run("bench sample --learning_rate=1", "stderr").text, HasSubstr("has no use for it"));
}

TEST(Program, VersionIsTheProjectsAndSaysWhatWasBuilt) {
  Result result = run("--version", "stdout");
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.text, testing::MatchesRegex("folio [0-9]+\\.[0-9]+\\.[0-9]+\n"
                                                 "commit [^ ]+, [^ ]+ [0-9.]+, devices: cpu.*\n"));
  // The release's notes begin with it.
  const std::string version = result.text.substr(6, result.text.find('\n') - 6);
  std::ifstream changes(source_path("CHANGELOG.md"));
  std::string text{std::istreambuf_iterator<char>(changes), {}};
  EXPECT_EQ(text.find("\n## "), text.find(fmt::format("\n## {}", version)));
}

TEST(Program, AnUnknownCommandNamesTheNearest) {
  Result result = run("trian", "stderr");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.text, "folio: unknown command \"trian\"; did you mean \"train\"?\n");
  EXPECT_EQ(run("bench trian", "stderr").text,
            "folio: unknown command \"bench trian\"; did you mean \"bench train\"?\n");
}

TEST(Program, WithNothingNearItListsTheCommands) {
  for (std::string name : {"", "xyzzy"}) {
    Result result = run(name, "stderr");
    EXPECT_EQ(result.status, 2) << name;
    EXPECT_THAT(result.text, HasSubstr("usage: folio COMMAND")) << name;
    EXPECT_THAT(result.text, HasSubstr("bench sample")) << name;
  }
  Result bench = run("bench", "stderr");
  EXPECT_EQ(bench.status, 2);
  EXPECT_THAT(bench.text, HasSubstr("usage: folio bench COMMAND"));
  EXPECT_THAT(bench.text, HasSubstr("\n  sample "));
}

TEST(Program, AnErrorIsOneLineOnStandardError) {
  Result result = run("train --n_layers=3", "stderr");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.text,
            "folio: command line: unknown key \"n_layers\"; did you mean \"n_layer\"?\n");
  EXPECT_THAT(run("sample --out_dir=/no/such", "stderr").text, StartsWith("folio: "));
}

// Figures differ from run to run; which ones there are does not.
TEST(Program, BenchSampleGivesARowForEveryWayToDecode) {
  std::string shape = "bench sample --n_layer=1 --n_head=2 --n_embd=16 --block_size=16 --iters=1 ";
  Result result = run(shape + "--json", "stdout");
  EXPECT_EQ(result.status, 0);
  for (std::string key : {"median_ms", "min_ms", "tokens_per_second", "peak_rss_bytes",
                          "share_of_peak", "read_bandwidth_gb"})
    EXPECT_THAT(result.text, HasSubstr("\"" + key + "\":"));
  for (std::string weights : {"float32", "bfloat16", "int8", "int4"}) {
    for (std::string batch : {"1", "10"}) {
      for (std::string cache : {"true", "false"}) {
        EXPECT_THAT(result.text,
                    HasSubstr(fmt::format("\"weights\":\"{}\",\"batch\":{},\"kv_cache\":{},",
                                          weights, batch, cache)));
      }
    }
  }
  std::string table = run(shape + "--weights=int8 --num_samples=3", "stdout").text;
  EXPECT_THAT(table, HasSubstr("\nint8          3 float32 "));
  EXPECT_THAT(table, HasSubstr("\nint8, batch 3: with the cache a step is "));
  EXPECT_THAT(run(shape + "--weights=int3", "stderr").text, HasSubstr("int8"));
  EXPECT_EQ(run(shape + "--kv_cache_dtype=int4", "stderr").text,
            "folio: command line: kv_cache_dtype: must be \"float32\" or \"bfloat16\" or \"int8\", "
            "got \"int4\"\n");
  EXPECT_EQ(run(shape + "--num_samples=0", "stderr").text,
            "folio: num_samples: must be a count of 1 or more, got \"0\"\n");
}

// Three windows of 16 tokens, the first without the prompt's own token and the one it gives.
TEST(Program, BenchSampleGivesThePriceOfATokenInEachWindowThatATextOutgrows) {
  std::string command =
      "bench sample --n_layer=1 --n_head=2 --n_embd=16 --block_size=16 --iters=1 --weights=int8 "
      "--num_samples=2 --prompt_tokens=1 --max_new_tokens=47 --uncached_tokens=0 "
      "--kv_cache_dtype=bfloat16 --kv_cache_dtype=int8 ";
  std::string json = run(command + "--json", "stdout").text;
  EXPECT_THAT(json, HasSubstr("\"kv_cache_dtype\":\"bfloat16\""));
  EXPECT_THAT(json, HasSubstr("\"kv_cache_dtype\":\"int8\""));
  EXPECT_THAT(json, HasSubstr("\"windows\":[{\"from_token\":0,\"steps\":14,"));
  EXPECT_THAT(json, HasSubstr("{\"from_token\":16,\"steps\":16,"));
  EXPECT_THAT(json, HasSubstr("{\"from_token\":32,\"steps\":16,"));
  EXPECT_THAT(json, Not(HasSubstr("\"from_token\":48")));
  EXPECT_THAT(json, HasSubstr("\"price_growth\":"));
  EXPECT_THAT(run(command, "stdout").text, HasSubstr("\nint8, batch 2, cache int8: a step in ms"));
}

// `sh -c LINE`, in which $folio is the program -> its exit status.
int shell(const std::string& line) {
  return WEXITSTATUS(std::system(fmt::format("folio='{}'; {}", folio_program(), line).c_str()));
}

TEST(Program, OutputThatCannotBeWrittenIsAnError) {
  for (std::string command : {"--help", "train --help", "bench tokenizer --help", "--version"}) {
    EXPECT_EQ(shell("$folio " + command + " > /dev/full 2>/dev/null"), 1) << command;
    EXPECT_EQ(shell("$folio " + command + " >&- 2>/dev/null"), 1) << command;
    EXPECT_EQ(shell("$folio " + command + " > /dev/null"), 0) << command;
  }
  EXPECT_EQ(run("nothing >/dev/null 2>&-", "stdout").status, 2) << "its remarks are lost, no more";
}

TEST(Program, ADescriptorThatIsClosedBecomesNoFileOfTheUsers) {
  std::string folder = testing::TempDir() + "folio-closed";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/text") << "to be or not to be, to be or not to be";
  std::string prepare =
      fmt::format("$folio prepare --input={0}/text --name=x --data_dir={0}", folder);
  ASSERT_EQ(shell(prepare + " >/dev/null"), 0);
  auto bytes = [&] {
    std::ifstream in(folder + "/x/train.bin", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  std::string whole = bytes();
  EXPECT_FALSE(whole.empty());
  EXPECT_EQ(shell(prepare + " >&- 2>/dev/null"), 1);
  EXPECT_EQ(bytes(), whole);
  EXPECT_EQ(shell(prepare + " <&- >/dev/null 2>&-"), 0);
  EXPECT_EQ(bytes(), whole);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace folio

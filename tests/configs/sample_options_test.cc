#include "configs/sample_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/configs/config_file.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

SampleOptions parse(std::vector<std::string> args) { return parse_sample_options(args); }

std::string parse_error(std::vector<std::string> args) {
  return message_of([&] { parse(args); });
}

TEST(SampleOptions, DefaultsAreNanoGptsWithTheCacheOn) {
  SampleOptions o = parse({});
  EXPECT_EQ(o.init_from, "resume");
  EXPECT_EQ(o.out_dir, "out");
  EXPECT_EQ(o.start, "");
  EXPECT_EQ(o.tokenizer, "");
  EXPECT_EQ(o.dataset, "");
  EXPECT_EQ(o.data_dir, "");
  EXPECT_FALSE(o.interactive || o.chat || o.ignore_eos);
  EXPECT_EQ(o.system + o.thinking, "");
  EXPECT_TRUE(o.stop.empty());
  EXPECT_EQ(o.min_p, 0.0);
  EXPECT_EQ(o.repetition_penalty, 1.0);
  EXPECT_EQ(o.logprobs, -1);
  EXPECT_EQ(o.past_block, "auto");
  EXPECT_EQ(o.window, 0);
  EXPECT_EQ(o.keep, 0);
  EXPECT_EQ(o.batch_size, 64);
  EXPECT_EQ(o.kv_cache_dtype, "");
  EXPECT_EQ(o.num_samples, 10);
  EXPECT_EQ(o.max_new_tokens, 500);
  EXPECT_EQ(o.temperature, 0.8);
  EXPECT_EQ(o.top_k, 200);
  EXPECT_EQ(o.top_p, 1.0);
  EXPECT_EQ(o.seed, 1337);
  EXPECT_TRUE(o.kv_cache);
  EXPECT_EQ(o.device, "cpu");
  EXPECT_EQ(o.dtype, "");
  EXPECT_EQ(o.threads, 0);
}

TEST(SampleOptions, EveryOptionReachesItsMember) {
  SampleOptions o = parse({"--out_dir=a",
                           "--start=FILE:p.txt",
                           "--num_samples=2",
                           "--max_new_tokens=3",
                           "--temperature=0",
                           "--top_k=0",
                           "--top_p=0.9",
                           "--seed=4",
                           "--kv_cache=off",
                           "--dtype=bfloat16",
                           "--threads=5",
                           "--init_from=gpt2",
                           "--interactive",
                           "--min_p=0.05",
                           "--repetition_penalty=1.3",
                           "--logprobs=2",
                           "--past_block=slide",
                           "--window=9",
                           "--keep=7",
                           "--batch_size=3",
                           "--kv_cache_dtype=bfloat16",
                           "--chat",
                           "--system=Be brief.",
                           "--thinking=off",
                           "--ignore_eos"});
  EXPECT_TRUE(o.chat && o.ignore_eos);
  EXPECT_EQ(o.system, "Be brief.");
  EXPECT_EQ(o.thinking, "off");
  EXPECT_EQ(o.init_from, "gpt2");
  EXPECT_TRUE(o.interactive);
  EXPECT_EQ(o.min_p, 0.05);
  EXPECT_EQ(o.repetition_penalty, 1.3);
  EXPECT_EQ(o.logprobs, 2);
  EXPECT_EQ(o.past_block, "slide");
  EXPECT_EQ(o.window, 9);
  EXPECT_EQ(o.keep, 7);
  EXPECT_EQ(o.batch_size, 3);
  EXPECT_EQ(o.kv_cache_dtype, "bfloat16");
  EXPECT_EQ(o.out_dir, "a");
  EXPECT_EQ(o.start, "FILE:p.txt");
  EXPECT_EQ(o.num_samples, 2);
  EXPECT_EQ(o.max_new_tokens, 3);
  EXPECT_EQ(o.temperature, 0.0);
  EXPECT_EQ(o.top_k, 0);
  EXPECT_EQ(o.top_p, 0.9);
  EXPECT_EQ(o.seed, 4);
  EXPECT_FALSE(o.kv_cache);
  EXPECT_EQ(o.dtype, "bfloat16");
  EXPECT_EQ(o.threads, 5);
  EXPECT_TRUE(parse({"--kv_cache=on"}).kv_cache);
}

TEST(SampleOptions, PromptsArriveAsTyped) {
  EXPECT_EQ(parse({"--start="}).start, "");
  EXPECT_EQ(parse({"--start=", "--seed=2"}).start, "");
  EXPECT_EQ(parse({"--start=--x\n é = y"}).start, "--x\n é = y");
  EXPECT_EQ(parse({"--start", "ROMEO: what?"}).start, "ROMEO: what?");
}

TEST(SampleOptions, LogprobsAloneMeansNoAlternatives) {
  EXPECT_EQ(parse({"--logprobs"}).logprobs, 0);
  EXPECT_EQ(parse({"--logprobs", "--num_samples=2"}).logprobs, 0);
  EXPECT_EQ(parse({"--logprobs", "3"}).logprobs, 3);
}

TEST(SampleOptions, NanoGptsCommandLineWorks) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(parse({"--out_dir=out-x", "--device=cpu", "--compile=False"}).out_dir, "out-x");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "folio: compile: nanoGPT's options that folio does not need; ignored\n");
  EXPECT_THAT(parse_error({"--device=cuda"}), HasSubstr("this build of folio has no CUDA"));
  EXPECT_THAT(parse_error({"--dtype=float16"}), HasSubstr("bfloat16 is as small"));
  EXPECT_THAT(parse_error({"--eval_interval=1"}), HasSubstr("an option of `folio train`"));
}

TEST(SampleOptions, APromptsFileMayLieInTheHomeFolder) {
  std::string home = std::getenv("HOME") ? std::getenv("HOME") : "";
  ::setenv("HOME", "/h", 1);
  SampleOptions o = parse({"--start=FILE:~/p.txt", "--out_dir=~/o", "--init_from=~/m"});
  EXPECT_EQ(o.start, "FILE:/h/p.txt");
  EXPECT_EQ(o.out_dir, "/h/o");
  EXPECT_EQ(o.init_from, "/h/m");
  EXPECT_EQ(parse({"--start=~/p"}).start, "~/p");
  ::setenv("HOME", home.c_str(), 1);
}

TEST(SampleOptions, StopStringsAddUp) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(parse({"--stop=END", "--stop", "\n\n", "--stop=,"}).stop, (Texts{"END", "\n\n", ","}));
  ConfigFile several("stop = [\"a\", \"b\"]\n"), one("stop = \"a\"\n"), wrong("stop = [1]\n");
  EXPECT_EQ(parse({several.path}).stop, (Texts{"a", "b"}));
  EXPECT_EQ(parse({one.path}).stop, Texts{"a"});
  EXPECT_EQ(parse({several.path, "--stop=c"}).stop, Texts{"c"});  // which the others override
  EXPECT_EQ(parse_error({wrong.path}), wrong.path + ":1: stop: expected text, got 1");
  ConfigFile list("start = [\"a\", \"b\"]\n");
  EXPECT_THAT(parse_error({list.path}), HasSubstr("expected true or false, a number or text"));
}

TEST(SampleOptions, AFileSetsThemToo) {
  ConfigFile file("start = \"\"\"\nTwo\nlines\"\"\"\nkv_cache = false\n");
  SampleOptions o = parse({file.path});
  EXPECT_EQ(o.start, "Two\nlines");
  EXPECT_FALSE(o.kv_cache);
}

TEST(SampleOptions, EveryRangeIsChecked) {
  EXPECT_EQ(parse_error({"--temperature=-1"}),
            "command line: temperature: must be at least 0, got -1");
  EXPECT_EQ(parse_error({"--top_k=-1"}), "command line: top_k: must be at least 0, got -1");
  EXPECT_EQ(parse_error({"--top_p=0"}),
            "command line: top_p: must be above 0 and at most 1, got 0");
  EXPECT_EQ(parse_error({"--min_p=1"}),
            "command line: min_p: must be at least 0 and below 1, got 1");
  EXPECT_EQ(parse_error({"--repetition_penalty=0"}),
            "command line: repetition_penalty: must be above 0, got 0");
  EXPECT_THAT(parse_error({"--past_block=trim"}),
              HasSubstr("must be \"auto\" or \"window\" or \"block\" or \"slide\" or \"stop\""));
  EXPECT_EQ(parse_error({"--num_samples=0"}),
            "command line: num_samples: must be at least 1, got 0");
  EXPECT_EQ(parse_error({"--max_new_tokens=0"}),
            "command line: max_new_tokens: must be at least 1, got 0");
  EXPECT_EQ(parse_error({"--kv_cache=maybe"}),
            "command line: kv_cache: expected true or false, got \"maybe\"");
  EXPECT_THAT(parse_error({"--dtype=int8"}), HasSubstr("dtype: must be"));
  EXPECT_EQ(parse({"--kv_cache_dtype=int8"}).kv_cache_dtype, "int8");
  EXPECT_THAT(parse_error({"--kv_cache_dtype=int4"}),
              HasSubstr("or \"bfloat16\" or \"int8\", got"));
  EXPECT_THAT(parse_error({"--temprature=1"}), HasSubstr("did you mean \"temperature\"?"));
  EXPECT_THAT(parse_error({"--num_samples=9223372036854775807"}),
              testing::AllOf(HasSubstr("num_samples=9223372036854775807"), HasSubstr("are left")));
  EXPECT_THAT(parse_error({"--seed=-1"}), HasSubstr("seed: must be at least 0"));
  EXPECT_THAT(parse_error({"--threads=-1"}), HasSubstr("threads: must be at least 0"));
}

}  // namespace
}  // namespace folio

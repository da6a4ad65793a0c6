// nanoGPT's config files: plain assignments in Python.
#include "configs/python_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configs/train_options.h"
#include "tests/configs/config_file.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

OptionValue integer(int64_t value) { return value; }

OptionValue value_of(const std::string& expression) {
  auto all = [](auto&, auto&) { return true; };
  auto found = read_assignments("x = " + expression, "x.py",
                                {{"three", integer(3)}, {"half", 0.5}, {"text", "t"s}}, all);
  return found.at(0).value;
}

std::string refusal(const std::string& text) {
  return message_of([&] {
    read_assignments(text, "x.py", {{"n", integer(2)}},
                     [](auto& name, auto&) { return name != "ignored"; });
  });
}

// What CPython 3.11 gives for each.
TEST(PythonConfig, ExpressionsAreComputedAsPythonDoes) {
  const std::pair<std::string, OptionValue> cases[] = {
      {"12", integer(12)},
      {"100_000", integer(100000)},
      {"1e-3", 1e-3},
      {"6.", 6.0},
      {".5", 0.5},
      {"1E+2", 100.0},
      {"True", true},
      {"False", false},
      {"'a\"b'", "a\"b"s},
      {"\"it's\" # why", "it's"s},
      {"'# no comment'  # a comment", "# no comment"s},
      {R"('a\n\t\\\'b')", "a\n\t\\'b"s},
      {"''", ""s},
      {"'out-' + 'é'", "out-é"s},
      {"5 * 8", integer(40)},
      {"5*8*2", integer(80)},
      {"2 + 3 * 4", integer(14)},
      {"(2 + 3) * 4", integer(20)},
      {"10 - 4 - 3", integer(3)},
      {"-3", integer(-3)},
      {"+-+3", integer(-3)},
      {"-2 ** 2", integer(-4)},
      {"2 ** 3 ** 2", integer(512)},
      {"2 ** -1", 0.5},
      {"(-1) ** 1000000000000", integer(1)},
      {"7 / 2", 3.5},
      {"8 / 2", 4.0},
      {"7 // 2", integer(3)},
      {"-7 // 2", integer(-4)},
      {"7 // -2", integer(-4)},
      {"-8 // 2", integer(-4)},
      {"7.5 // 2", 3.0},
      {"1e-3 / 10", 1e-3 / 10},
      {"5 * 0.5", 2.5},
      {"three * 2", integer(6)},
      {"half * three", 1.5},
      {"text", "t"s},
      {"9223372036854775807", integer(9223372036854775807)},
      {"-9223372036854775807 - 1", integer(std::numeric_limits<int64_t>::min())},
  };
  for (const auto& [text, value] : cases) EXPECT_EQ(value_of(text), value) << text;
}

TEST(PythonConfig, WhatNeedsPythonIsRefusedWithItsLine) {
  EXPECT_EQ(refusal("a = 1\n\nseed = int(time.time())  # now\n"),
            "x.py:3: \"int\" has no value here; folio reads assignments and runs no Python: seed = "
            "int(time.time())  # now");
  const std::pair<std::string, const char*> cases[] = {
      {"a = ", "a value is missing"},
      {"a = # none", "a value is missing"},
      {"a = None", "\"None\" has no value here"},
      {"a = b", "\"b\" has no value here"},
      {"a = (1", "a ) is missing"},
      {"a = (1, 2)", "a ) is missing"},
      {"a = [1]", "\"[1]\" was not expected"},
      {"a = 1; b = 2", "\"; b = 2\" was not expected"},
      {"a = 1 if n else 2", "\"if n else 2\" was not expected"},
      {"a = 1if", "\"1if\" is no number"},
      {"a = 0x10", "\"0x10\" is no number"},
      {"a = 1__0", "\"1__0\" is no number"},
      {"a = 'x", "the text does not end"},
      {"a = 'x\\", "the text does not end"},
      {"a = 'x\\q'", "the escape \\q is not read"},
      {"a = \"\"\"x\"\"\"", "text in three quotes"},
      {"a = f'x'", "\"f\" has no value here"},
      {"a = 'x' * 2", "\"x\" * 2 is nothing that folio computes"},
      {"a = True + 1", "true + 1 is nothing"},
      {"a = 1 / 0", "division by zero"},
      {"a = 1 // 0.0", "division by zero"},
      {"a = 2 ** 63", "too large"},
      {"a = 9223372036854775807 + 1", "too large"},
      {"a = (-9223372036854775807 - 1) // -1", "too large"},
      {"a = 3037000500 * 3037000500", "too large"},
      {" a = 1", "the line is indented"},
      {"a == 1", "expected NAME = VALUE"},
      {"a: int = 1", "expected NAME = VALUE"},
      {"a.b = 1", "expected NAME = VALUE"},
      {"print(1)", "expected NAME = VALUE"},
      {"exec(open('x').read())", "expected NAME = VALUE"},
      {"\xff = 1", "expected NAME = VALUE"},
  };
  for (const auto& [text, why] : cases) EXPECT_THAT(refusal(text), HasSubstr(why)) << text;
  EXPECT_THAT(refusal("a = " + std::string(100'000, '(')), HasSubstr("nested more than 100 deep"));
  EXPECT_THAT(refusal("a = " + std::string(100'000, '-')), HasSubstr("nested more than 100 deep"));
  std::string powers = "a = 1";
  for (int i = 0; i < 100'000; ++i) powers += "**1";
  EXPECT_THAT(refusal(powers), HasSubstr("nested more than 100 deep"));
  EXPECT_EQ(refusal("\a\x1b[2J").find('\x1b'), std::string::npos);
}

TEST(PythonConfig, NamesHaveTheValuesOfTheLinesBefore) {
  auto found = read_assignments("max_iters = 20\r\nlr_decay_iters = max_iters\nmax_iters = 7",
                                "x.py", {}, [](auto&, auto&) { return true; });
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[1].value, integer(20));
  EXPECT_EQ(found[1].written, "max_iters");
  EXPECT_EQ(found[1].where, "x.py:2");
  EXPECT_EQ(found[2].value, integer(7));
}

// In the form of nanoGPT's files, not their text.
TEST(PythonConfig, ATrainingFileOpensAsItIs) {
  ConfigFile file(
      "\xef\xbb\xbf# a run to try things out\n"
      "import time\n"
      "from os import path\n"
      "\n"
      "out_dir = 'out-try' # single quotes\n"
      "wandb_log = True\n"
      "wandb_run_name='try-' + str(time.time())\n"
      "compile = False\n"
      "gradient_accumulation_steps = 5 * 8\n"
      "batch_size=4*3   # no spaces\n"
      "max_iters = 60_000\n"
      "lr_decay_iters = max_iters\n"
      "warmup_iters = max_iters // 100\n"
      "learning_rate = 3e-4\n"
      "min_lr = learning_rate / 10\n"
      "lr = beta1\n"
      "always_save_checkpoint = False\n",
      ".py");
  auto parse = [&](std::vector<std::string> more, OptionOrigins* given) {
    more.push_back(file.path);
    return parse_train_options(more, given);
  };
  EXPECT_EQ(message_of([&] { parse({}, nullptr); }),
            file.path + ":16: unknown key \"lr\"; --help lists the known ones");
  ConfigFile right(
      "import time\n"
      "out_dir = 'out-try'\n"
      "wandb_run_name='try-' + str(time.time())\n"
      "gradient_accumulation_steps = 5 * 8\n"
      "max_iters = 60_000\n"
      "lr_decay_iters = max_iters\n"
      "learning_rate = 3e-4\n"
      "min_lr = learning_rate / 10\n"
      "grad_clip = beta1\n"  // a default, as for nanoGPT
      "compile = torch.cuda.is_available()\n"
      "always_save_checkpoint = False\n",
      ".py");
  OptionOrigins given;
  testing::internal::CaptureStderr();
  TrainOptions o = parse_train_options(std::vector{right.path, "--max_iters=5"s}, &given);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "folio: wandb_run_name, compile: nanoGPT's options that folio does not need; "
            "ignored\n");
  EXPECT_EQ(o.out_dir, "out-try");
  EXPECT_EQ(o.gradient_accumulation_steps, 40);
  EXPECT_EQ(o.max_iters, 5);
  EXPECT_EQ(o.lr_decay_iters, 60000);
  EXPECT_EQ(o.min_lr, 3e-4 / 10);
  EXPECT_EQ(o.grad_clip, 0.9);
  EXPECT_FALSE(o.always_save_checkpoint);
  EXPECT_EQ(given.at("out_dir"), right.path + ":2");
  EXPECT_EQ(given.at("max_iters"), "command line");
}

TEST(PythonConfig, TypesAndRangesAreCheckedAsInToml) {
  auto error = [](const std::string& text) {
    ConfigFile file(text, ".py");
    std::string message = message_of([&] { parse_train_options(std::vector{file.path}); });
    EXPECT_THAT(message, testing::StartsWith(file.path + ":1: "));
    return message.substr(std::min(message.size(), file.path.size() + 4));
  };
  EXPECT_EQ(error("max_iters = 20.0"), "max_iters: expected an integer, got 20.0");
  EXPECT_EQ(error("max_iters = 40 / 2 # half"), "max_iters: expected an integer, got 40 / 2");
  EXPECT_EQ(error("batch_size = 2 - 2"), "batch_size: must be at least 1, got 2 - 2");
  EXPECT_EQ(error("dropout = '0.1'"), "dropout: expected a number, got \"0.1\"");
  EXPECT_EQ(error("bias = 1"), "bias: expected true or false, got 1");
  EXPECT_EQ(error("learning_rate = 1e308 * 10"), "learning_rate: must be finite, got 1e308 * 10");
  EXPECT_THAT(error("batchsize = 3"), HasSubstr("did you mean \"batch_size\"?"));
}

}  // namespace
}  // namespace folio

#include "configs/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "tests/configs/config_file.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Settings {
  bool flag = false;
  int64_t layers = 12;
  double rate = 6e-4;
  std::string name = "first \"line\"\n";
  std::string folder = "out";
  std::string prompt = "";
  int64_t alternatives = -1;
};

class OptionTableTest : public testing::Test {
 protected:
  void parse(std::vector<std::string> args) { table.parse("folio test [FILE]", args); }
  std::string parse_error(std::vector<std::string> args) {
    return message_of([&] { parse(args); });
  }

  Settings settings;
  OptionTable table{
      {{"flag", &settings.flag, "a switch"},
       {"layers", &settings.layers, "how many", at_least(1)},
       {"rate", &settings.rate, "how fast", at_least_0_below_1()},
       {"name", &settings.name, "what to call it"},
       path_option("folder", &settings.folder, "where"),
       path_option("prompt", &settings.prompt, "from where", "FILE:"),
       {"alternatives", &settings.alternatives, "beside the one", at_least(-1), int64_t(0)}}};
};

TEST_F(OptionTableTest, NothingGivenLeavesTheDefaults) {
  parse({});
  EXPECT_EQ(settings.layers, 12);
  EXPECT_EQ(settings.rate, 6e-4);
  EXPECT_TRUE(table.given().empty());
}

TEST_F(OptionTableTest, ReadsEveryTypeFromAFile) {
  ConfigFile file("# why\nflag = true\nlayers = 6   # fewer\nrate = 1e-3\nname = \"é\"\n");
  parse({file.path});
  EXPECT_TRUE(settings.flag);
  EXPECT_EQ(settings.layers, 6);
  EXPECT_EQ(settings.rate, 1e-3);
  EXPECT_EQ(settings.name, "é");
  EXPECT_EQ(table.given(), (OptionOrigins{{"flag", file.path + ":2"},
                                          {"layers", file.path + ":3"},
                                          {"rate", file.path + ":4"},
                                          {"name", file.path + ":5"}}));
}

TEST_F(OptionTableTest, ReadsEveryTypeFromTheCommandLine) {
  parse({"--flag=true", "--layers=6", "--rate", "1e-3", "--name", "-a b"});
  EXPECT_TRUE(settings.flag);
  EXPECT_EQ(settings.layers, 6);
  EXPECT_EQ(settings.rate, 1e-3);
  EXPECT_EQ(settings.name, "-a b");
  EXPECT_EQ(table.given().at("rate"), "command line");
}

TEST_F(OptionTableTest, BoolsHaveTheirSpellings) {
  for (std::string yes : {"--flag=true", "--flag=True", "--flag=on", "--flag"}) {
    settings.flag = false;
    parse({yes});
    EXPECT_TRUE(settings.flag) << yes;
  }
  for (std::string no : {"false", "False", "off"}) {
    settings.flag = true;
    parse({"--flag=" + no});
    EXPECT_FALSE(settings.flag) << no;
    settings.flag = true;
    parse({"--flag", no});
    EXPECT_FALSE(settings.flag) << no;
  }
}

TEST_F(OptionTableTest, ABareFlagLeavesTheNextArgumentAlone) {
  ConfigFile file("layers = 3\n");
  parse({"--flag", file.path});
  EXPECT_TRUE(settings.flag);
  EXPECT_EQ(settings.layers, 3);
}

TEST_F(OptionTableTest, TheCommandLineWinsWhereverTheFileStands) {
  ConfigFile file("layers = 3\nrate = 0.5\n");
  parse({"--layers=4", file.path, "--rate=0.25"});
  EXPECT_EQ(settings.layers, 4);
  EXPECT_EQ(settings.rate, 0.25);
}

TEST_F(OptionTableTest, AValueMayBeEmptyOrHoldAnEqualsSign) {
  parse({"--name=", "--layers=2"});
  EXPECT_EQ(settings.name, "");
  EXPECT_EQ(settings.layers, 2);
  parse({"--name=a=b"});
  EXPECT_EQ(settings.name, "a=b");
}

TEST_F(OptionTableTest, AnIntegerServesAsANumberButNotTheOtherWayRound) {
  ConfigFile integer("rate = 0\n");
  parse({integer.path});
  EXPECT_EQ(settings.rate, 0.0);
  parse({"--rate=0"});
  ConfigFile fraction("layers = 6.0\n");
  EXPECT_EQ(parse_error({fraction.path}),
            fraction.path + ":1: layers: expected an integer, got 6.0");
  EXPECT_EQ(parse_error({"--layers=6.0"}), "command line: layers: expected an integer, got 6.0");
}

TEST_F(OptionTableTest, AnUnknownKeyNamesTheNearest) {
  ConfigFile file("rate = 0.1\n\nlayer = 3\n");
  EXPECT_EQ(parse_error({file.path}),
            file.path + ":3: unknown key \"layer\"; did you mean \"layers\"?");
  EXPECT_EQ(parse_error({"--layer=3"}),
            "command line: unknown key \"layer\"; did you mean \"layers\"?");
  EXPECT_EQ(parse_error({"-layers=3"}),
            "command line: unknown key \"-layers\"; did you mean \"layers\"?");
  EXPECT_EQ(parse_error({"--colour=3"}),
            "command line: unknown key \"colour\"; --help lists the known ones");
}

TEST_F(OptionTableTest, AWrongTypeSaysWhatWasThere) {
  ConfigFile text("\n\nlayers = \"twelve\"\n");
  EXPECT_EQ(parse_error({text.path}),
            text.path + ":3: layers: expected an integer, got \"twelve\"");
  ConfigFile boolean("rate = true\n");
  EXPECT_EQ(parse_error({boolean.path}), boolean.path + ":1: rate: expected a number, got true");
  ConfigFile number("flag = 1\n");
  EXPECT_EQ(parse_error({number.path}), number.path + ":1: flag: expected true or false, got 1");
  ConfigFile not_text("name = 5\n");
  EXPECT_EQ(parse_error({not_text.path}), not_text.path + ":1: name: expected text, got 5");
  ConfigFile list("layers = [1, 2]\n");
  EXPECT_THAT(parse_error({list.path}), StartsWith(list.path + ":1: layers: expected"));
  EXPECT_EQ(parse_error({"--layers=twelve"}),
            "command line: layers: expected an integer, got \"twelve\"");
  EXPECT_EQ(parse_error({"--flag=yes"}), "command line: flag: expected true or false, got \"yes\"");
  EXPECT_EQ(parse_error({"--rate=1e-3x"}), "command line: rate: expected a number, got \"1e-3x\"");
  EXPECT_THAT(parse_error({"--layers="}), HasSubstr("expected an integer, got \"\""));
  EXPECT_EQ(parse_error({"--layers=99999999999999999999"}),
            "command line: layers: expected an integer from -9223372036854775808 to "
            "9223372036854775807, got 99999999999999999999");
}

// As it stands there, not as it is read.
TEST_F(OptionTableTest, AMessageHasTheValueAsItWasWritten) {
  const std::pair<std::string, std::string> cases[] = {
      {"layers = 2e1  # more", "expected an integer, got 2e1"},
      {"layers = 1_0.50", "expected an integer, got 1_0.50"},
      {"\"l\\u0061yers\"=1.0", "expected an integer, got 1.0"},
      {"flag = 0x10", "expected true or false, got 0x10"},
      {"name = -0.0", "expected text, got -0.0"},
      {"rate = 1.50", "must be at least 0 and below 1, got 1.50"},
      {"layers = 'é'", "expected an integer, got \"é\""},
  };
  for (const auto& [text, message] : cases) {
    ConfigFile file("# é\n" + text + "\n");
    EXPECT_THAT(parse_error({file.path}), testing::EndsWith(message)) << text;
  }
  EXPECT_EQ(parse_error({"--layers=2e1"}), "command line: layers: expected an integer, got 2e1");
  EXPECT_EQ(parse_error({"--flag=1"}), "command line: flag: expected true or false, got 1");
  EXPECT_EQ(parse_error({"--rate=True"}), "command line: rate: expected a number, got True");
  EXPECT_EQ(parse_error({"--rate=1.0"}),
            "command line: rate: must be at least 0 and below 1, got 1.0");
}

TEST_F(OptionTableTest, NumbersMayBeWrittenAsPythonDoes) {
  parse({"--layers=1_000", "--rate=.5e-1"});
  EXPECT_EQ(settings.layers, 1000);
  EXPECT_EQ(settings.rate, 0.05);
  EXPECT_THAT(parse_error({"--layers=1__0"}), HasSubstr("expected an integer, got \"1__0\""));
  EXPECT_THAT(parse_error({"--layers=10_"}), HasSubstr("expected an integer, got \"10_\""));
}

TEST_F(OptionTableTest, OfAnOptionGivenTwiceTheLaterHolds) {
  parse({"--layers=3", "--rate=0.5", "--layers", "4"});
  EXPECT_EQ(settings.layers, 4);
}

TEST_F(OptionTableTest, AValueMayLookLikeAnOption) {
  parse({"--name=--layers=3"});
  EXPECT_EQ(settings.name, "--layers=3");
  EXPECT_EQ(settings.layers, 12);
}

TEST_F(OptionTableTest, AnOptionMayStandWithoutAValueWhereItHasOneForThat) {
  parse({"--alternatives"});
  EXPECT_EQ(settings.alternatives, 0);
  parse({"--alternatives", "3"});
  EXPECT_EQ(settings.alternatives, 3);
  parse({"--alternatives=4"});
  EXPECT_EQ(settings.alternatives, 4);
  parse({"--alternatives", "--layers=2"});
  EXPECT_EQ(settings.alternatives, 0);
  EXPECT_EQ(settings.layers, 2);
  ConfigFile file("layers = 5\n");
  parse({"--alternatives", file.path});
  EXPECT_EQ(settings.alternatives, 0);
  EXPECT_EQ(settings.layers, 5);
  EXPECT_THAT(parse_error({"--alternatives=-2"}), HasSubstr("must be at least -1, got -2"));
}

TEST_F(OptionTableTest, ATildeIsTheHomeFolder) {
  std::string before = std::getenv("HOME") ? std::getenv("HOME") : "";
  ::setenv("HOME", "/home/me", 1);
  parse({"--folder=~/x y"});
  EXPECT_EQ(settings.folder, "/home/me/x y");
  parse({"--folder", "~"});
  EXPECT_EQ(settings.folder, "/home/me");
  parse({"--prompt=FILE:~/p.txt"});
  EXPECT_EQ(settings.prompt, "FILE:/home/me/p.txt");
  for (std::string extension : {".toml", ".py"}) {
    ConfigFile file("folder = '~/y'\n", extension);
    parse({file.path});
    EXPECT_EQ(settings.folder, "/home/me/y");
  }
  EXPECT_THAT(parse_error({"~/none.toml"}), StartsWith("/home/me/none.toml: there is no such"));

  parse({"--folder=a~/x", "--prompt=~/p", "--name=~/n"});  // no home in these
  EXPECT_EQ(settings.folder, "a~/x");
  EXPECT_EQ(settings.prompt, "~/p");
  EXPECT_EQ(settings.name, "~/n");
  EXPECT_THAT(parse_error({"--folder=~you/x"}),
              StartsWith("command line: folder: ~you/x: folio knows ~/ as your home folder"));
  EXPECT_EQ(settings.folder, "a~/x");
  ::unsetenv("HOME");
  EXPECT_THAT(parse_error({"--folder=~/x"}), HasSubstr("HOME, which ~ stands for, is not set"));
  ::setenv("HOME", before.c_str(), 1);
}

TEST_F(OptionTableTest, WhatACheckpointHasIsNoPathToBeRead) {
  table.set("folder", std::string("~/x"), "ckpt.h5");
  EXPECT_EQ(settings.folder, "~/x");
}

TEST_F(OptionTableTest, NanoGptsOwnOptionsAreKnownIgnoredAndSaidOnce) {
  ConfigFile toml("wandb_log = true\nlayers = 3\n");
  auto said = [&](std::vector<std::string> args) {
    testing::internal::CaptureStderr();
    parse(args);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said({toml.path, "--compile=False", "--backend=nccl", "--wandb_run_name=--x",
                  "--compile", "True", "--wandb_log", "--layers=4"}),
            "folio: compile, backend, wandb_run_name, wandb_log: nanoGPT's options that folio does "
            "not need; ignored\n");
  EXPECT_EQ(settings.layers, 4);
  EXPECT_FALSE(table.given().contains("compile"));
  table.set_all({{"compile", true}, {"layers", int64_t(5)}}, "ckpt.h5");
  EXPECT_EQ(settings.layers, 5);
  EXPECT_THAT(parse_error({"--compiled=False"}), HasSubstr("unknown key \"compiled\""));
}

TEST_F(OptionTableTest, AnOptionOfAnotherCommandNamesIt) {
  EXPECT_EQ(parse_error({"--top_k=3"}),
            "command line: unknown key \"top_k\"; it is an option of `folio sample`, not of this "
            "command");
  EXPECT_THAT(parse_error({"--eval_interval=3"}), HasSubstr("`folio train`"));
}

TEST(OptionTable, WhatACommandHasNoUseForStaysReadableInFiles) {
  std::string folder = "out", shown;
  int64_t layers = 1;
  const std::string used[] = {"shape", "shown"};
  OptionTable table(for_use(in_groups({{"run", {{"folder", &folder, "where"}}},
                                       {"shape", {{"layers", &layers, "how many"}}},
                                       {"other", {{"shown", &shown, "what"}}}}),
                            used));
  ConfigFile file("folder = 'x'\nlayers = 2\n"), wrong("folder = 1\n");
  table.parse("folio test", std::vector{file.path});
  EXPECT_EQ(layers, 2);
  EXPECT_THAT(message_of([&] { table.parse("folio test", std::vector{wrong.path}); }),
              HasSubstr("expected text, got 1"));
  EXPECT_THAT(
      message_of([&] { table.parse("folio test", std::vector<std::string>{"--folder=y"}); }),
      StartsWith("command line: folder: this command has no use for it"));
  EXPECT_THAT(message_of([&] { table.parse("folio test", std::vector<std::string>{"--folde=y"}); }),
              testing::Not(HasSubstr("did you mean")));
  std::string help = table.help("folio test", 80);
  EXPECT_THAT(help, testing::Not(HasSubstr("folder")));
  EXPECT_THAT(help, HasSubstr("\nshape\n  --layers=2"));
  EXPECT_THAT(help, testing::Not(HasSubstr("\nrun\n")));
}

TEST(OptionTable, TheWordWithoutDashesMayBeAnOption) {
  std::string name;
  OptionTable table({{"name", &name, "whose"}});
  auto parse = [&](std::vector<std::string> args) { table.parse("folio test NAME", args, "name"); };
  parse({"a"});
  EXPECT_EQ(name, "a");
  parse({"--name=b"});
  EXPECT_EQ(name, "b");
  EXPECT_EQ(message_of([&] {
              parse({"a", "b"});
            }),
            "command line: one name at most, got \"a\" and \"b\"");
}

TEST_F(OptionTableTest, AValueOutOfRangeSaysTheRange) {
  EXPECT_EQ(parse_error({"--layers=0"}), "command line: layers: must be at least 1, got 0");
  EXPECT_EQ(parse_error({"--rate=1"}), "command line: rate: must be at least 0 and below 1, got 1");
  EXPECT_EQ(parse_error({"--rate=nan"}), "command line: rate: must be finite, got nan");
  EXPECT_EQ(parse_error({"--rate=inf"}), "command line: rate: must be finite, got inf");
  ConfigFile file("layers = -2\n");
  EXPECT_EQ(parse_error({file.path}), file.path + ":1: layers: must be at least 1, got -2");
  EXPECT_EQ(settings.layers, 12);
}

TEST_F(OptionTableTest, AMissingValueIsAnError) {
  EXPECT_EQ(parse_error({"--layers"}), "command line: layers needs a value: --layers=VALUE");
  EXPECT_THAT(parse_error({"--name", "--layers=3"}), HasSubstr("name needs a value"));
}

TEST_F(OptionTableTest, AtMostOneFileThatMustBeReadableToml) {
  EXPECT_EQ(parse_error({"a.toml", "b.toml"}),
            "command line: one config file at most, got \"a.toml\" and \"b.toml\"");
  EXPECT_EQ(parse_error({"/no/such.toml"}), "/no/such.toml: there is no such config file");
  std::string folder = std::filesystem::temp_directory_path();
  EXPECT_EQ(parse_error({folder}), folder + ": the config file cannot be read");
  EXPECT_EQ(parse_error({"layers=3"}),
            "layers=3: there is no such config file; for an option write --layers=3");
  ConfigFile near("layers = 1\n");
  std::string typo = near.path.substr(0, near.path.size() - 5) + "x.toml";
  EXPECT_EQ(parse_error({typo}),
            typo + ": there is no such config file; did you mean " + near.path + "?");
  ConfigFile broken("layers = 1\nrate = \n");
  EXPECT_THAT(parse_error({broken.path}), StartsWith(broken.path + ":2: not valid TOML: "));
  ConfigFile twice("layers = 1\nlayers = 2\n");
  EXPECT_THAT(parse_error({twice.path}), StartsWith(twice.path + ":2: not valid TOML: "));
  ConfigFile empty("");
  parse({empty.path});
}

// Deep enough to overflow the stack of a parser that calls itself.
TEST_F(OptionTableTest, KeysDoNotNestWithoutEnd) {
  std::string dotted = "a";
  for (int i = 0; i < 300'000; ++i) dotted += ".a";
  for (const std::string& text : {dotted + " = 1\n", "[" + dotted + "]\n"}) {
    ConfigFile file(text);
    EXPECT_THAT(parse_error({file.path}), StartsWith(file.path + ": has more than 5000 dots"));
  }
  for (const char* open : {"[", "{a = "}) {
    std::string text = "layers = ";
    for (int i = 0; i < 100'000; ++i) text += open;
    ConfigFile file(text);
    EXPECT_THAT(parse_error({file.path}), StartsWith(file.path + ":1: not valid TOML: "));
  }
}

TEST_F(OptionTableTest, ASectionIsAnUnknownKey) {
  ConfigFile file("[model]\nlayers = 3\n");
  EXPECT_THAT(parse_error({file.path}), HasSubstr(":1: unknown key \"model\""));
}

TEST_F(OptionTableTest, HelpListsEveryOptionWithDefaultAndPurpose) {
  for (std::string ask : {"--help", "-h"}) {
    try {
      parse({"--layers=3", ask});
      FAIL() << "no help";
    } catch (const HelpRequested& help) {
      EXPECT_EQ(help.text,
                "usage: folio test [FILE]\n\n"
                "options, each with its default:\n"
                "  --flag=false               a switch\n"
                "  --layers=12                how many\n"
                "  --rate=0.0006              how fast\n"
                "  --name=\"first \\\"line\\\"\\n\"  what to call it\n"
                "  --folder=out               where\n"
                "  --prompt=TEXT              from where\n"
                "  --alternatives=-1          beside the one\n");
    }
  }
}

TEST(OptionTable, HelpIsGroupedAndWrappedToTheTerminal) {
  double rate = 1;
  std::string path;
  std::vector<std::string> several{"a", "b c"};
  OptionTable table(in_groups(
      {{"first group",
        {{"rate", &rate, "one two three four five six seven eight nine ten eleven"},
         path_option("a_name_that_is_much_too_long", &path, "of a file in the café of the house")}},
       {"second", {{"several", &several, "texts"}}}}));
  EXPECT_EQ(table.help("folio test", 45),
            "usage: folio test\n\n"
            "options, each with its default:\n"
            "\n"
            "first group\n"
            "  --rate=1.0  one two three four five six\n"
            "              seven eight nine ten eleven\n"
            "  --a_name_that_is_much_too_long=PATH\n"
            "              of a file in the café of the\n"
            "              house\n"
            "\n"
            "second\n"
            "  --several=a --several=\"b c\"\n"
            "              texts\n");
  std::string wide = table.help("folio test", 1000);
  EXPECT_THAT(wide, HasSubstr("eight nine ten eleven\n"));
}

TEST_F(OptionTableTest, ValuesGoOutAndComeBackUnchanged) {
  parse({"--flag", "--layers=7", "--rate=0.1", "--name=n"});
  OptionValues values = table.values();
  EXPECT_EQ(values, (OptionValues{{"flag", true},
                                  {"layers", int64_t(7)},
                                  {"rate", 0.1},
                                  {"name", std::string("n")},
                                  {"folder", std::string("out")},
                                  {"prompt", std::string()},
                                  {"alternatives", int64_t(-1)}}));
  settings = Settings();
  table.set_all(values, "ckpt.h5");
  EXPECT_EQ(table.values(), values);
  EXPECT_EQ(table.given().at("layers"), "ckpt.h5");
  EXPECT_EQ(settings.rate, 0.1);
}

TEST_F(OptionTableTest, ValuesFromElsewhereAreCheckedLikewise) {
  auto set = [&](std::string name, OptionValue value) {
    return message_of([&] { table.set_all({{name, value}}, "ckpt.h5"); });
  };
  EXPECT_EQ(set("layerz", int64_t(1)), "ckpt.h5: unknown key \"layerz\"; did you mean \"layers\"?");
  EXPECT_EQ(set("layers", 1.5), "ckpt.h5: layers: expected an integer, got 1.5");
  EXPECT_EQ(set("layers", int64_t(0)), "ckpt.h5: layers: must be at least 1, got 0");
  EXPECT_EQ(set("rate", std::numeric_limits<double>::quiet_NaN()),
            "ckpt.h5: rate: must be finite, got nan");
}

TEST(DifferingOptions, AreSaidWithThePlaceTheyCameFrom) {
  using namespace std::string_literals;
  OptionValues defaults{{"bias", false}, {"layers", int64_t(12)}, {"name", "n"s}, {"rate", 0.5}};
  EXPECT_EQ(differing_options(defaults, defaults, {{"bias", "command line"}}), "");
  OptionValues now{{"bias", true}, {"layers", int64_t(4)}, {"name", "a b\n"s}, {"rate", 1.0}};
  EXPECT_EQ(differing_options(now, defaults,
                              {{"bias", "command line"},
                               {"layers", "configs/x.toml:12"},
                               {"rate", "configs/x.toml:3"}}),
            "options: name = \"a b\\n\"\n"
            "options of configs/x.toml: layers = 4, rate = 1.0\n"
            "options of the command line: bias = true\n");
  EXPECT_EQ(differing_options({{"layers", int64_t(4)}, {"name", "0123456789"s}}, defaults,
                              {{"layers", "last.h5"}, {"name", "last.h5"}}, 40),
            "options of last.h5: layers = 4, name =\n"
            "    \"0123456789\"\n");
}

TEST(Rules, HoldAtTheirEdges) {
  auto accepts = [](const Rule& rule, OptionValue value) { return rule.accepts(value); };
  EXPECT_TRUE(accepts(at_least(0), 0.0));
  EXPECT_FALSE(accepts(at_least(0), -1e-9));
  EXPECT_TRUE(accepts(at_least_0_below_1(), 0.0));
  EXPECT_FALSE(accepts(at_least_0_below_1(), 1.0));
  EXPECT_FALSE(accepts(at_least_0_below_1(), -0.1));
  EXPECT_TRUE(accepts(above_0_up_to_1(), 1.0));
  EXPECT_FALSE(accepts(above_0_up_to_1(), 0.0));
  EXPECT_FALSE(accepts(above_0_up_to_1(), 1.1));
  EXPECT_TRUE(accepts(one_of({"a", "b"}), std::string("b")));
  EXPECT_FALSE(accepts(one_of({"a", "b"}), std::string("")));
  EXPECT_EQ(one_of({"a", "b"}).wanted, "\"a\" or \"b\"");
}

}  // namespace
}  // namespace folio

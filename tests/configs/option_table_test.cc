// Keys, types and values of an OptionTable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/configs/config_file.h"
#include "tests/configs/option_table_fixture.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(OptionTableTest, NothingGivenLeavesTheDefaults) {
  parse({});
  EXPECT_EQ(settings.layers, 12);
  EXPECT_EQ(settings.rate, 6e-4);
  EXPECT_TRUE(table.given().empty());
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
            "command line: -layers=3: options begin with two dashes: --layers=3");
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

TEST_F(OptionTableTest, NumbersMayBeWrittenAsPythonDoes) {
  parse({"--layers=1_000", "--rate=.5e-1"});
  EXPECT_EQ(settings.layers, 1000);
  EXPECT_EQ(settings.rate, 0.05);
  EXPECT_THAT(parse_error({"--layers=1__0"}), HasSubstr("expected an integer, got \"1__0\""));
  EXPECT_THAT(parse_error({"--layers=10_"}), HasSubstr("expected an integer, got \"10_\""));
}

TEST_F(OptionTableTest, WhatACheckpointHasIsNoPathToBeRead) {
  table.set("folder", std::string("~/x"), "ckpt.h5");
  EXPECT_EQ(settings.folder, "~/x");
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

TEST_F(OptionTableTest, AValueOutOfRangeSaysTheRange) {
  EXPECT_EQ(parse_error({"--layers=0"}), "command line: layers: must be at least 1, got 0");
  EXPECT_EQ(parse_error({"--rate=1"}), "command line: rate: must be at least 0 and below 1, got 1");
  EXPECT_EQ(parse_error({"--rate=nan"}), "command line: rate: must be finite, got nan");
  EXPECT_EQ(parse_error({"--rate=inf"}), "command line: rate: must be finite, got inf");
  ConfigFile file("layers = -2\n");
  EXPECT_EQ(parse_error({file.path}), file.path + ":1: layers: must be at least 1, got -2");
  EXPECT_EQ(settings.layers, 12);
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

}  // namespace
}  // namespace folio

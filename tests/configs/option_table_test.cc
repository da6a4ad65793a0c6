#include "configs/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
};

class OptionTableTest : public testing::Test {
 protected:
  void parse(std::vector<std::string> args) { table.parse("folio test [FILE]", args); }
  std::string parse_error(std::vector<std::string> args) {
    return message_of([&] { parse(args); });
  }

  Settings settings;
  OptionTable table{{{"flag", &settings.flag, "a switch"},
                     {"layers", &settings.layers, "how many", at_least(1)},
                     {"rate", &settings.rate, "how fast", at_least_0_below_1()},
                     {"name", &settings.name, "what to call it"}}};
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

TEST(OptionTable, AnOptionWithABareValueMayStandAlone) {
  int64_t count = -1;
  bool flag = false;
  std::string name;
  auto parse = [&](std::vector<std::string> args) {
    count = -1;
    flag = false;
    OptionTable table{{{"count", &count, "how many", at_least(-1), int64_t{0}},
                       {"flag", &flag, "a switch"},
                       {"name", &name, "a text"}}};
    table.parse("folio test", args);
    EXPECT_TRUE(table.given().contains("count"));
    return count;
  };
  EXPECT_EQ(parse({"--count"}), 0);
  EXPECT_EQ(parse({"--count", "--flag"}), 0);
  EXPECT_TRUE(flag);
  EXPECT_EQ(parse({"--name", "5", "--count"}), 0);
  EXPECT_EQ(parse({"--count=3"}), 3);
  EXPECT_EQ(parse({"--count", "3"}), 3);
  EXPECT_EQ(parse({"--count", "-1"}), -1);
  EXPECT_EQ(parse({"--count", "--count=2"}), 2);
  ConfigFile file("name = \"x\"\n");
  EXPECT_EQ(parse({"--count", file.path}), 0);
  EXPECT_EQ(name, "x");
  EXPECT_THAT(message_of([&] { parse({"--count=many"}); }), HasSubstr("expected an integer"));
  EXPECT_THAT(message_of([&] { parse({"--count", "--name"}); }), HasSubstr("name needs a value"));
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
  EXPECT_EQ(parse_error({fraction.path}), fraction.path + ":1: layers: expected an integer, got 6");
  EXPECT_THAT(parse_error({"--layers=6.0"}), HasSubstr("expected an integer"));
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
  EXPECT_THAT(parse_error({"--layers=99999999999999999999"}), HasSubstr("expected an integer"));
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
  EXPECT_EQ(parse_error({"/no/such.toml"}), "/no/such.toml: the config file cannot be read");
  std::string folder = std::filesystem::temp_directory_path();
  EXPECT_EQ(parse_error({folder}), folder + ": the config file cannot be read");
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

TEST_F(OptionTableTest, HelpListsEveryOptionWithTypeDefaultAndPurpose) {
  for (std::string ask : {"--help", "-h"}) {
    try {
      parse({"--layers=3", ask});
      FAIL() << "no help";
    } catch (const HelpRequested& help) {
      EXPECT_EQ(help.text,
                "usage: folio test [FILE]\n\n"
                "  --flag    bool     false               a switch\n"
                "  --layers  integer  12                  how many\n"
                "  --rate    number   0.0006              how fast\n"
                "  --name    text     \"first \\\"line\\\"\\n\"  what to call it\n");
    }
  }
}

TEST_F(OptionTableTest, ValuesGoOutAndComeBackUnchanged) {
  parse({"--flag", "--layers=7", "--rate=0.1", "--name=n"});
  OptionValues values = table.values();
  EXPECT_EQ(
      values,
      (OptionValues{
          {"flag", true}, {"layers", int64_t(7)}, {"rate", 0.1}, {"name", std::string("n")}}));
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

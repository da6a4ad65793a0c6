// Config files in TOML.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/configs/config_file.h"
#include "tests/configs/option_table_fixture.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

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

}  // namespace
}  // namespace folio

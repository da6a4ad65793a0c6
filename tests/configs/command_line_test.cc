// Arguments as OptionTable::parse reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/configs/config_file.h"
#include "tests/configs/option_table_fixture.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

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

TEST_F(OptionTableTest, AMissingValueIsAnError) {
  EXPECT_EQ(parse_error({"--layers"}), "command line: layers needs a value: --layers=VALUE");
  EXPECT_THAT(parse_error({"--name", "--layers=3"}), HasSubstr("name needs a value"));
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

}  // namespace
}  // namespace folio

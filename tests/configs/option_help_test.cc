// The text of --help, and of what a run has that is no default.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/configs/option_table_fixture.h"

namespace folio {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace folio

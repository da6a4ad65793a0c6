#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "configs/option_table.h"
#include "tests/message.h"

namespace folio {

// A table with an option of every kind.
class OptionTableTest : public testing::Test {
 protected:
  struct Settings {
    bool flag = false;
    int64_t layers = 12;
    double rate = 6e-4;
    std::string name = "first \"line\"\n";
    std::string folder = "out";
    std::string prompt = "";
    int64_t alternatives = -1;
  };

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

}  // namespace folio

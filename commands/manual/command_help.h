#pragma once
#include <span>
#include <string>
#include <vector>

#include "commands/command_table.h"
#include "configs/option_help.h"

namespace folio {

// What `folio NAME --help` is made from.
struct CommandHelp {
  std::string name, help;  // of the table of commands
  std::string usage;       // "folio train [CONFIG] ...", then maybe an empty line and more
  std::vector<OptionHelp> options;

  std::string synopsis() const { return usage.substr(0, usage.find('\n')); }
  bool takes(std::string_view word) const { return synopsis().find(word) != std::string::npos; }
};

// Of every command, which is asked for it: the option tables are the one place that says it.
std::vector<CommandHelp> help_of_all(std::span<const Command> commands);

// folio(1), in the macros of man(7).
std::string man_page(std::span<const Command> commands);

// A script for bash that completes commands, options, their values, and files.
std::string bash_completion(std::span<const Command> commands);

}  // namespace folio

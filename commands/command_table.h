#pragma once
#include <span>
#include <string>

namespace folio {

struct Command {
  std::string name;                   // one word or two
  int (*run)(int argc, char** argv);  // argv[0] is the name's last word; gives the exit status
  std::string help;
};

// Runs the command that argv[1], or argv[1] and argv[2], name -> its exit status; for a name that
// none of them has, says the nearest on standard error -> 2. Help and the version are thrown as
// HelpRequested (configs/option_help.h): `--help`, `help COMMAND`, `bench --help`, `--version`,
// `manual` and `completion bash`.
int run_command(std::span<const Command> commands, int argc, char** argv);

}  // namespace folio

#include "commands/manual/command_help.h"

#include "core/check.h"

namespace folio {

std::vector<CommandHelp> help_of_all(std::span<const Command> commands) {
  std::vector<CommandHelp> all;
  for (const Command& command : commands) {
    std::string name = command.name.substr(command.name.rfind(' ') + 1), ask = "--help";
    char* argv[] = {name.data(), ask.data(), nullptr};
    try {
      command.run(2, argv);
      fail("{} --help: gave no help", command.name);
    } catch (HelpRequested& help) {
      all.push_back({command.name, command.help, help.usage, std::move(help.options)});
    }
  }
  return all;
}

}  // namespace folio

#include "commands/command_table.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "commands/manual/command_help.h"
#include "commands/version.h"
#include "configs/option_table.h"
#include "core/process/output.h"
#include "core/text/nearest.h"

namespace folio {
namespace {

using Commands = std::span<const Command>;

// All commands, or those whose name starts with the word `group`.
std::string usage(Commands commands, const std::string& group = "") {
  std::string before = group.empty() ? "" : group + " ";
  std::string text = fmt::format("usage: folio {}COMMAND [--key=value ...]\n\n", before);
  for (const Command& command : commands)
    if (command.name.starts_with(before))
      text += fmt::format("  {:17}{}\n", command.name.substr(before.size()), command.help);
  text += fmt::format("\n`folio {}COMMAND --help` lists a command's options.\n", before);
  if (group.empty())
    text +=
        "`folio manual | man -l -` shows all of them, `source <(folio completion bash)` makes "
        "bash\ncomplete them.\n";
  return text;
}

bool has_second_word(Commands commands, std::string_view word) {
  return std::ranges::any_of(commands, [&](const Command& command) {
    return command.name.starts_with(fmt::format("{} ", word));
  });
}

bool asks_for_help(std::string_view word) {
  return word == "--help" || word == "-h" || word == "help";
}

int unknown(Commands commands, const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  std::string known = nearest(name, names);
  if (known.empty())
    note("folio: unknown command \"{}\"\n{}", name, usage(commands));
  else
    note("folio: unknown command \"{}\"; did you mean \"{}\"?\n", name, known);
  return 2;
}

int incomplete(Commands commands, const std::string& group) {
  note("{}", usage(commands, group));
  return 2;
}

}  // namespace

int run_command(Commands commands, int argc, char** argv) {
  if (argc < 2) return incomplete(commands, "");
  std::string name = argv[1];
  if (name == "--version" && argc == 2) throw HelpRequested{version_text()};
  if (name == "manual" && argc == 2) throw HelpRequested{man_page(commands)};
  if (name == "completion") {
    check(argc == 3 && argv[2] == std::string_view("bash"),
          "completion: folio knows bash's alone: folio completion bash");
    throw HelpRequested{bash_completion(commands)};
  }
  if (asks_for_help(name)) {
    if (argc == 2) throw HelpRequested{usage(commands)};
    // `folio help COMMAND` is `folio COMMAND --help`.
    std::vector<char*> words(argv, argv + argc);
    std::string help = "--help";
    std::rotate(words.begin() + 1, words.begin() + 2, words.end());
    words.back() = help.data();
    return run_command(commands, argc, words.data());
  }
  int words = 1;
  if (has_second_word(commands, name)) {
    if (argc == 2) return incomplete(commands, name);
    if (asks_for_help(argv[2])) throw HelpRequested{usage(commands, name)};
    name += fmt::format(" {}", argv[++words]);
  }
  for (const Command& command : commands)
    if (command.name == name) return command.run(argc - words, argv + words);
  return unknown(commands, name);
}

}  // namespace folio

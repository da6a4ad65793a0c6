#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "commands/bench/bench_sample_command.h"
#include "commands/bench/bench_tokenizer_command.h"
#include "commands/bench/bench_train_command.h"
#include "commands/download_command.h"
#include "commands/eval_command.h"
#include "commands/export_command.h"
#include "commands/prepare_command.h"
#include "commands/quantize_command.h"
#include "commands/sample/sample_command.h"
#include "commands/train_command.h"
#include "configs/option_table.h"
#include "core/nearest.h"
#include "core/process/memory_limit.h"
#include "core/process/output.h"
#include "core/process/stop.h"

namespace {

struct Command {
  std::string name;                   // one word or two
  int (*run)(int argc, char** argv);  // argv[0] is the name's last word; gives the exit status
  std::string help;
};

const std::vector<Command> commands = {
    {"prepare", folio::prepare_command, "turn a text into training data"},
    {"download", folio::download_command, "get GPT-2, or another model, from the Hugging Face hub"},
    {"train", folio::train_command, "train a model, or go on with one"},
    {"eval", folio::eval_command, "the loss of a checkpoint over its whole data"},
    {"export", folio::export_command, "write a model in Hugging Face's layout"},
    {"quantize", folio::quantize_command,
     "write a model in bfloat16, int8 or int4, to sample from"},
    {"sample", folio::sample_command, "generate text from a checkpoint"},
    {"bench train", folio::bench_train_command, "time training, against what the machine can do"},
    {"bench sample", folio::bench_sample_command, "time sampling, likewise"},
    {"bench tokenizer", folio::bench_tokenizer_command, "time a tokenizer on a text"},
};

// All commands, or those whose name starts with the word `group`.
std::string usage(const std::string& group = "") {
  std::string text =
      fmt::format("usage: folio {}COMMAND [--key=value ...]\n\n", group.empty() ? "" : group + " ");
  size_t skipped = group.empty() ? 0 : group.size() + 1;
  for (const Command& command : commands)
    if (group.empty() || command.name.starts_with(group + " "))
      text += fmt::format("  {:17}{}\n", command.name.substr(skipped), command.help);
  return text + fmt::format("\n`folio {}COMMAND --help` lists a command's options.\n",
                            group.empty() ? "" : group + " ");
}

bool has_second_word(std::string_view word) {
  for (const Command& command : commands)
    if (command.name.starts_with(fmt::format("{} ", word))) return true;
  return false;
}

bool asks_for_help(std::string_view word) {
  return word == "--help" || word == "-h" || word == "help";
}

int unknown(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  std::string known = folio::nearest(name, names);
  if (known.empty())
    folio::note("folio: unknown command \"{}\"\n{}", name, usage());
  else
    folio::note("folio: unknown command \"{}\"; did you mean \"{}\"?\n", name, known);
  return 2;
}

int incomplete(const std::string& group) {
  folio::note("{}", usage(group));
  return 2;
}

int run(int argc, char** argv) {
  if (argc < 2) return incomplete("");
  std::string name = argv[1];
  if (name == "--version") throw folio::HelpRequested{"folio 0.1.0\n"};
  if (asks_for_help(name)) {
    if (argc == 2) throw folio::HelpRequested{usage()};
    // `folio help COMMAND` is `folio COMMAND --help`.
    std::vector<char*> words(argv, argv + argc);
    std::string help = "--help";
    std::rotate(words.begin() + 1, words.begin() + 2, words.end());
    words.back() = help.data();
    return run(argc, words.data());
  }
  int words = 1;
  if (has_second_word(name)) {
    if (argc == 2) return incomplete(name);
    if (asks_for_help(argv[2])) throw folio::HelpRequested{usage(name)};
    name += fmt::format(" {}", argv[++words]);
  }
  for (const Command& command : commands)
    if (command.name == name) return command.run(argc - words, argv + words);
  return unknown(name);
}

}  // namespace

int main(int argc, char** argv) {
  folio::open_standard_files();
  folio::listen_for_signals();
  try {
    try {
      return run(argc, argv);
    } catch (const folio::HelpRequested& help) {
      folio::write_output(help.text);
      return 0;
    }
  } catch (const folio::Interrupted& interrupted) {
    return 128 + interrupted.signal;
  } catch (const std::bad_alloc&) {
    folio::note("folio: out of memory: {} bytes are left; make what is asked for smaller\n",
                folio::available_memory());
    return 1;
  } catch (const std::length_error& error) {
    folio::note("folio: a size that was asked for is too large ({})\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    folio::note("folio: {}\n", error.what());
    return 1;
  }
}

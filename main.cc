#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/export_command.h"
#include "checkpoint/quantize_command.h"
#include "configs/option_table.h"
#include "core/nearest.h"
#include "core/output.h"
#include "core/stop.h"
#include "data/corpus/prepare_command.h"
#include "data/hub/download_command.h"
#include "data/tokenizer/bench_tokenizer_command.h"
#include "sample/bench/bench_sample_command.h"
#include "sample/sample_command.h"
#include "train/bench_train_command.h"
#include "train/eval_command.h"
#include "train/train_command.h"

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

std::string usage() {
  std::string text = "usage: folio COMMAND [--key=value ...]\n\n";
  for (const Command& command : commands)
    text += fmt::format("  {:17}{}\n", command.name, command.help);
  return text + "\n`folio COMMAND --help` lists a command's options.\n";
}

bool has_second_word(std::string_view word) {
  for (const Command& command : commands)
    if (command.name.starts_with(fmt::format("{} ", word))) return true;
  return false;
}

int unknown(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  std::string known = folio::nearest(name, names);
  if (known.empty())
    fmt::print(stderr, "folio: unknown command \"{}\"\n{}", name, usage());
  else
    fmt::print(stderr, "folio: unknown command \"{}\"; did you mean \"{}\"?\n", name, known);
  return 2;
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "{}", usage());
    return 2;
  }
  std::string name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") throw folio::HelpRequested{usage()};
  if (name == "--version") throw folio::HelpRequested{"folio 0.1.0\n"};
  int words = 1;
  if (argc > 2 && has_second_word(name)) name += fmt::format(" {}", argv[++words]);
  for (const Command& command : commands)
    if (command.name == name) return command.run(argc - words, argv + words);
  return unknown(name);
}

}  // namespace

int main(int argc, char** argv) {
  folio::open_standard_files();
  folio::listen_for_signals();
  try {
    int status = 0;
    try {
      status = run(argc, argv);
    } catch (const folio::HelpRequested& help) {
      folio::write_output(help.text);
    }
    folio::flush_output();
    return status;
  } catch (const folio::Interrupted& interrupted) {
    return 128 + interrupted.signal;
  } catch (const std::exception& error) {
    fmt::print(stderr, "folio: {}\n", error.what());
    return 1;
  }
}

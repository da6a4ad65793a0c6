#include <exception>
#include <new>
#include <stdexcept>

#include "commands/bench/bench_sample_command.h"
#include "commands/bench/bench_tokenizer_command.h"
#include "commands/bench/bench_train_command.h"
#include "commands/command_table.h"
#include "commands/download_command.h"
#include "commands/eval_command.h"
#include "commands/export_command.h"
#include "commands/inspect_command.h"
#include "commands/prepare_command.h"
#include "commands/quantize_command.h"
#include "commands/sample/sample_command.h"
#include "commands/train/compare_command.h"
#include "commands/train/train_command.h"
#include "configs/option_table.h"
#include "core/backend.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/ranks/leave.h"

namespace {

const folio::Command commands[] = {
    {"prepare", folio::prepare_command, "turn a text into training data"},
    {"download", folio::download_command, "get GPT-2, or another model, from the Hugging Face hub"},
    {"train", folio::train_command, "train a model, or go on with one"},
    {"compare", folio::compare_command, "several runs side by side"},
    {"eval", folio::eval_command, "the loss of a checkpoint over its whole data"},
    {"export", folio::export_command, "write a model in Hugging Face's layout"},
    {"quantize", folio::quantize_command,
     "write a model in bfloat16, int8 or int4, to sample from"},
    {"sample", folio::sample_command, "generate text from a checkpoint"},
    {"inspect", folio::inspect_command, "look inside a model as it reads a text, in one page"},
    {"bench train", folio::bench_train_command, "time training, against what the machine can do"},
    {"bench sample", folio::bench_sample_command, "time sampling, likewise"},
    {"bench tokenizer", folio::bench_tokenizer_command, "time a tokenizer on a text"},
};

}  // namespace

int main(int argc, char** argv) {
  folio::open_standard_files();
  folio::listen_for_signals();
  try {
    try {
      return folio::run_command(commands, argc, argv);
    } catch (const folio::HelpRequested& help) {
      folio::write_output(help.text);
      return 0;
    }
  } catch (const folio::Interrupted& interrupted) {
    return 128 + interrupted.signal;
  } catch (const std::bad_alloc&) {
    folio::leave_together(
        fmt::format("out of memory: {} bytes are left; make what is asked for smaller",
                    folio::backend(folio::cpu)->memory.available()));
    return 1;
  } catch (const std::length_error& error) {
    folio::leave_together(fmt::format("a size that was asked for is too large ({})", error.what()));
    return 1;
  } catch (const std::exception& error) {
    folio::leave_together(error.what());
    return 1;
  }
}

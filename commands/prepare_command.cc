#include "commands/prepare_command.h"

#include "configs/option_table.h"
#include "core/check.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "data/corpus/prepare.h"

namespace folio {

// folio prepare NAME [--input=FILE|FOLDER|-] [--key=value ...]
int prepare_command(int argc, char** argv) {
  PrepareOptions o;
  OptionTable table(in_groups({
      {"text",
       {{"name", &o.name,
         "what to call the dataset; shakespeare and shakespeare_char need no --input"},
        path_option(
            "input", &o.input,
            "a text, a folder of texts, a .jsonl file whose lines have a \"text\", a pipe, or "
            "- for standard input; none given: tiny Shakespeare is downloaded, or a folder "
            "with nanoGPT's train.bin and val.bin gets its meta.json"),
        {"val_fraction", &o.val_fraction,
         "fraction of the data for validation: the end of a text; of a folder, files drawn at "
         "random, or each one's end where some are too large for that",
         at_least_0_below_1()},
        {"strict", &o.strict,
         "refuse a folder with a file that is not UTF-8 text, or a .jsonl line without a \"text\", "
         "instead of leaving it out"}}},
      {"tokens",
       {path_option(
            "tokenizer", &o.tokenizer,
            "char, gpt2, bpe, which is trained on the train split, or the folder or file of "
            "a byte-level BPE tokenizer, whose start token, if it has one, begins each document; "
            "none given: gpt2 for shakespeare, otherwise char"),
        {"vocab_size", &o.vocab_size,
         "of bpe, which needs it: tokens, <|endoftext|> and the 256 bytes among them", at_least(0)},
        {"min_frequency", &o.min_frequency,
         "of bpe: a pair of tokens that occurs less often in the text becomes none", at_least(1)},
        {"allow_special", &o.allow_special,
         "read <|endoftext|> in a text as the token, not as those characters"}}},
      {"output", {path_option("data_dir", &o.data_dir, "folder of the prepared datasets")}},
      {"speed and memory",
       {{"threads", &o.threads, "CPU threads; 0: one per core; the result is the same",
         at_least(0)}}},
  }));
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse(
      "folio prepare NAME [--input=FILE|FOLDER|-] [--key=value ...]\n\n"
      "Makes a dataset from UTF-8 text: train.bin, val.bin and meta.json in\n"
      "data_dir/NAME, and the tokenizer.json of a tokenizer of its own.\n\n"
      "  folio prepare shakespeare_char\n"
      "  folio prepare shakespeare --tokenizer=gpt2\n"
      "  folio prepare NAME --input=FILE --tokenizer=gpt2\n"
      "  folio prepare NAME --input=FILE --tokenizer=bpe --vocab_size=4096",
      args, "name");
  set_stop_answer(fmt::format("stopping; {}/{} stays as it was", o.data_dir, o.name));
  o.tell = [](const std::string& lines) { write_output(lines); };
  prepare(o);
  return 0;
}

}  // namespace folio

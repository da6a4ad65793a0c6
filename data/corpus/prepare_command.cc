#include "data/corpus/prepare_command.h"

#include <CLI/CLI.hpp>

#include "core/check.h"
#include "core/stop.h"
#include "data/corpus/prepare.h"

namespace folio {

int prepare_command(int argc, char** argv) {
  PrepareOptions options;
  CLI::App app(
      "Make a dataset from UTF-8 text: train.bin, val.bin and meta.json.\n\n"
      "  folio prepare shakespeare_char\n"
      "  folio prepare shakespeare --tokenizer=gpt2\n"
      "  folio prepare --name=NAME --input=FILE|FOLDER|- --tokenizer=gpt2\n",
      "folio prepare");
  app.add_option("NAME,--name", options.name,
                 "what to call the dataset; shakespeare and shakespeare_char need no --input");
  app.add_option(
      "--input", options.input,
      "a text, a folder of texts, a .jsonl file whose lines have a \"text\", a pipe, or - for "
      "standard input; without it, tiny Shakespeare is downloaded, or a folder with nanoGPT's "
      "train.bin and val.bin gets its meta.json");
  app.add_option("--data_dir", options.data_dir, "the folder that holds the datasets")
      ->capture_default_str();
  app.add_option(
      "--tokenizer", options.tokenizer,
      "char, gpt2, or a folder or file with a byte-level BPE tokenizer; without it, gpt2 "
      "for shakespeare, else char");
  app.add_option("--val_fraction", options.val_fraction,
                 "the share of val: of a text its end, of a folder files drawn at random, or each "
                 "one's end where some are too large for that")
      ->capture_default_str();
  app.add_option("--allow_special", options.allow_special,
                 "true: <|endoftext|> in a text is the token, not those characters")
      ->capture_default_str();
  app.add_flag("--strict", options.strict,
               "refuse a folder with a file that is no UTF-8 text, or a .jsonl line without a "
               "\"text\", instead of leaving it out");
  app.add_option("--threads", options.threads, "0: one a core; the result does not depend on it")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fail("prepare: {}; see folio prepare --help", e.what());
  }
  set_stop_answer(fmt::format("stopping; {}/{} stays as it was", options.data_dir, options.name));
  prepare(options);
  return 0;
}

}  // namespace folio

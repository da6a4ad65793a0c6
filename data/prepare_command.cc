#include "data/prepare_command.h"

#include <CLI/CLI.hpp>

#include "core/check.h"
#include "data/prepare.h"

namespace folio {

int prepare_command(int argc, char** argv) {
  PrepareOptions options;
  CLI::App app(
      "Make a dataset of characters from a UTF-8 text: train.bin (90 %), val.bin and meta.json.\n\n"
      "  folio prepare shakespeare_char\n"
      "  folio prepare --input=FILE --name=NAME\n",
      "folio prepare");
  app.add_option("NAME,--name", options.name,
                 "what to call the dataset; shakespeare_char needs no --input");
  app.add_option("--input", options.input, "the text; without it, tiny Shakespeare is downloaded");
  app.add_option("--data_dir", options.data_dir, "the folder that holds the datasets")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fail("prepare: {}; see folio prepare --help", e.what());
  }
  prepare(options);
  return 0;
}

}  // namespace folio

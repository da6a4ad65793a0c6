#include "data/hub/download_command.h"

#include <CLI/CLI.hpp>

#include "core/check.h"
#include "core/output.h"
#include "core/stop.h"
#include "data/hub/download_model.h"

namespace folio {

int download_command(int argc, char** argv) {
  std::string name;
  CLI::App app(
      "Get a GPT-2 model from the Hugging Face hub, or see that it is there: its weights, config\n"
      "and tokenizer, each checked, into the cache that Hugging Face's libraries use.\n\n"
      "  folio download gpt2\n"
      "  folio sample --init_from=gpt2\n\n"
      "Environment: HF_HOME and HF_HUB_CACHE (where to), HF_ENDPOINT (where from), HF_TOKEN,\n"
      "HF_HUB_OFFLINE, and https_proxy, http_proxy, all_proxy, no_proxy.\n",
      "folio download");
  app.add_option("--name,NAME", name, "gpt2, gpt2-medium, gpt2-large, gpt2-xl or OWNER/NAME")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fail("download: {}; see folio download --help", e.what());
  }
  set_stop_answer(fmt::format(
      "stopping; what has come is kept, and `folio download {}` goes on from there", name));
  say("{}\n", download_model(name).string());
  return 0;
}

}  // namespace folio

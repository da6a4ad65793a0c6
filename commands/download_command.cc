#include "commands/download_command.h"

#include "configs/option_table.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "data/download/download_model.h"

namespace folio {

// folio download NAME
int download_command(int argc, char** argv) {
  std::string name;
  OptionTable table({{"name", &name, "gpt2, gpt2-medium, gpt2-large, gpt2-xl or OWNER/NAME"}});
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse(
      "folio download NAME\n\n"
      "Gets a GPT-2, Llama or Qwen3 model from the Hugging Face hub, or sees that it\n"
      "is there: its weights, config and tokenizer, each checked, into the cache that\n"
      "Hugging Face's libraries use. A model that folio cannot run is refused by its\n"
      "config.\n\n"
      "  folio download gpt2\n"
      "  folio sample --init_from=gpt2\n\n"
      "Environment: HF_HOME and HF_HUB_CACHE (where to), HF_ENDPOINT (where from),\n"
      "HF_TOKEN, HF_HUB_OFFLINE, https_proxy, http_proxy, all_proxy, no_proxy, and\n"
      "SSL_CERT_FILE (certificates to trust).",
      args, "name");
  check(!name.empty(), "download: say which model: folio download gpt2");
  set_stop_answer(fmt::format(
      "stopping; what has come is kept, and `folio download {}` goes on from there", name));
  say("{}\n", download_model(name).string());
  return 0;
}

}  // namespace folio

#include "checkpoint/export_command.h"

#include "checkpoint/hugging_face.h"
#include "checkpoint/open_model.h"
#include "configs/option_table.h"
#include "core/output.h"

namespace folio {

// folio export --to=DIR [--out_dir=DIR | --init_from=MODEL]
int export_command(int argc, char** argv) {
  std::string init_from = "resume", out_dir = "out", checkpoint = "best", to;
  OptionTable table(
      {path_option("to", &to, "folder to write, in Hugging Face's layout"),
       path_option("init_from", &init_from,
                   "resume: the checkpoint in out_dir; gpt2, gpt2-medium, ...; or the path of a "
                   "model"),
       path_option("out_dir", &out_dir, "folder of the run"),
       {"checkpoint", &checkpoint,
        "which of the run's checkpoints: best (the newest, where there is none yet) or last (the "
        "newest)",
        one_of({"best", "last"})}});
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse("folio export --to=DIR [--out_dir=DIR | --init_from=MODEL]", args);
  check(!to.empty(), "export: say where to, with --to=DIR");
  backend(cpu).set_threads(0);

  OpenedModel opened = open_model(init_from, out_dir, Purpose::any, checkpoint_named(checkpoint));
  if (!opened.attributes.empty()) say("{}\n", opened.described());
  save_hugging_face(to, *opened.model, opened.tokenizer.get());
  say("wrote {} to {}: config.json, generation_config.json, model.safetensors{}\n", opened.source,
      to, opened.tokenizer ? " and the tokenizer" : "");
  if (!opened.tokenizer) say("{} has no tokenizer to go with it\n", opened.source);
  if (!opened.model->config().bias)
    say("the model has no biases and GPT-2 has: they are written as zeros\n");
  return 0;
}

}  // namespace folio

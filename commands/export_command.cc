#include "commands/export_command.h"

#include "checkpoint/hugging_face.h"
#include "checkpoint/open_model.h"
#include "configs/model_rows.h"
#include "core/process/output.h"
#include "core/process/stop.h"

namespace folio {
namespace {

// The model may have more rows than there are tokens, as nanoGPT's own has.
void say_rows(const OpenedModel& opened, bool trimmed) {
  int64_t rows = opened.model->config().vocab_size;
  if (!opened.tokenizer || opened.tokenizer->vocab_size() == rows) return;
  int64_t tokens = opened.tokenizer->vocab_size();
  if (trimmed) {
    say("the model had {} rows for {} tokens: the last {} are left out\n", rows, tokens,
        rows - tokens);
  } else {
    say("the model has {} rows for {} tokens; programs that count the tokens (CTranslate2, "
        "llama.cpp) need --trim_vocab\n",
        rows, tokens);
  }
}

}  // namespace

// folio export --to=DIR [--out_dir=DIR | --init_from=MODEL] [--trim_vocab]
int export_command(int argc, char** argv) {
  std::string init_from = "resume", out_dir = "out", checkpoint = "best", to;
  bool trim_vocab = false;
  OptionTable table(
      model_rows(&init_from, &out_dir, &checkpoint,
                 {path_option("to", &to, "folder to write, in Hugging Face's layout"),
                  {"trim_vocab", &trim_vocab,
                   "leave out rows of the embedding beyond the tokenizer's tokens"}}));
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse("folio export --to=DIR [--out_dir=DIR | --init_from=MODEL]", args);
  check(!to.empty(), "export: say where to, with --to=DIR");

  set_stop_answer("stopping; nothing is written");
  OpenedModel opened =
      open_model(init_from, out_dir, cpu, Purpose::any, checkpoint_named(checkpoint));
  check(!trim_vocab || opened.tokenizer,
        "--trim_vocab: {} has no tokenizer whose tokens could be counted", opened.source);
  if (!opened.attributes.empty()) say("{}\n", opened.described());
  const std::string architecture =
      save_hugging_face(to, *opened.model, opened.tokenizer.get(), trim_vocab, opened.format);
  say("wrote {} to {}: config.json, generation_config.json, model.safetensors{}\n", opened.source,
      to, opened.tokenizer ? " and the tokenizer" : "");
  if (!opened.tokenizer) say("{}\n", without_tokenizer(opened));
  say_rows(opened, trim_vocab);
  const bool is_gpt2 = architecture == "GPT2LMHeadModel";
  if (!is_gpt2) say("to transformers it is a {}\n", architecture);
  if (is_gpt2 && !opened.model->config().bias)
    say("the model has no biases and GPT-2 has: they are written as zeros\n");
  return 0;
}

}  // namespace folio

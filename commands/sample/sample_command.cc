#include "commands/sample/sample_command.h"

#include <signal.h>
#include <unistd.h>

#include "checkpoint/model_tokenizer.h"
#include "commands/give_window.h"
#include "commands/sample/conversation.h"
#include "commands/sample/sample_output.h"
#include "configs/sample_options.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "sample/start.h"

namespace folio {
namespace {

OpenedModel open_packed(const SampleOptions& options) {
  OpenedModel opened = open_model(options.init_from, options.out_dir, device_named(options.device),
                                  Purpose::inference, checkpoint_named(options.checkpoint));
  std::string taken =
      find_tokenizer_of(opened, {options.tokenizer, options.dataset, options.data_dir});
  note("{}\n", opened.described());
  if (!taken.empty()) note("{}: {}\n", opened.source, taken);
  give_window(opened, options.window);
  if (!options.dtype.empty()) opened.model->context().dtype = dtype_named(options.dtype);
  WeightFormat as_saved = opened.weights.value_or(WeightFormat::f32);
  WeightFormat format = options.weights.empty() ? as_saved : weight_format_named(options.weights);
  pack(opened, format);
  return opened;
}

GenerateOptions generate_options(const SampleOptions& o, const GptConfig& model,
                                 const Tokenizer& tokenizer) {
  GenerateOptions options{.max_new_tokens = o.max_new_tokens,
                          .sampler = {.repetition_penalty = o.repetition_penalty,
                                      .temperature = o.temperature,
                                      .top_k = o.top_k,
                                      .top_p = o.top_p,
                                      .min_p = o.min_p},
                          .seed = uint64_t(o.seed),
                          .kv_cache = o.kv_cache,
                          .past_block = past_block_named(o.past_block, model),
                          .keep = o.keep,
                          .batch_size = o.batch_size,
                          .kv_cache_dtype = {},
                          .end_token = tokenizer.end_of_text().value_or(-1),
                          .tokens = tokenizer.vocab_size()};
  if (!o.kv_cache_dtype.empty()) options.kv_cache_dtype = dtype_named(o.kv_cache_dtype);
  return options;
}

// What came after the prompt, when it ended early, and how fast: for the one who waits.
void report(const Generated& generated, const Gpt& model) {
  for (size_t i = 0; i < generated.samples.size(); ++i) {
    if (generated.samples[i].ending != Ending::block_size) continue;
    note(
        "folio: sample {} ends at the model's context of {} tokens; --past_block=auto goes "
        "on\n",
        i + 1, model.config().block_size);
  }
  if (isatty(STDERR_FILENO) != 1) return;
  note(
      "{} tokens in {:.2f} s: {:.0f} tokens/s; prompt of {} tokens: {:.3f} s to the first "
      "token; KV cache {:.1f} MB\n",
      with_commas(generated.new_tokens), generated.seconds,
      double(generated.new_tokens) / std::max(generated.seconds, 1e-9),
      with_commas(generated.prompt_tokens), generated.prompt_seconds,
      double(generated.cache_bytes) / 1e6);
}

void print(const std::string& text) { write_output(text); }

void print_samples(Gpt& model, const Tokenizer& tokenizer, const SampleOptions& options) {
  Start start = start_of(options.start, tokenizer);
  if (!start.chosen.empty())
    note("no --start is given: each sample starts from {}\n", start.chosen);
  GenerateOptions how = generate_options(options, model.config(), tokenizer);
  SampleOutput output(print, tokenizer, start.text, options);
  std::vector<std::vector<int32_t>> prompts(size_t(options.num_samples), start.tokens);
  set_stop_answer("the samples end here");
  try {
    report(generate(model, prompts, how,
                    {.drawn = [&](const Draw& draw) { return output.show(draw); },
                     .ended = [&](size_t sample, Ending) { output.end(sample); }}),
           model);
  } catch (const Interrupted& stop) {
    if (stop.signal != SIGPIPE) output.break_off();
    throw;
  }
}

// One text, of one sample: what says otherwise is refused.
void check_interactive(const SampleOptions& options, const OptionOrigins& given) {
  auto refuse = [&](const char* name, const char* why) {
    if (auto origin = given.find(name); origin != given.end())
      fail("{}: {}: --interactive {}; leave it out", origin->second, name, why);
  };
  if (options.num_samples != 1) refuse("num_samples", "continues one text");
  if (options.logprobs >= 0) refuse("logprobs", "prints text");
  refuse("batch_size", "continues one text");
}

void converse(const OpenedModel& opened, const SampleOptions& options) {
  Conversation conversation(*opened.model, opened.tokenizer,
                            generate_options(options, opened.model->config(), *opened.tokenizer),
                            options.stop);
  if (!options.start.empty()) conversation.begin_with(text_of(options.start));
  LineEditor lines;
  if (lines.on_terminal())
    note(
        "Type what the model shall continue; Ctrl-C ends its answer, Ctrl-D or Ctrl-C at the "
        "prompt the conversation.\n");
  conversation.run(lines, print);
  if (lines.on_terminal())
    note("{} tokens; KV cache {:.1f} MB\n", conversation.length(),
         double(conversation.cache_bytes()) / 1e6);
}

}  // namespace

// folio sample --out_dir=DIR [--key=value ...]
int sample_command(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  OptionOrigins given;
  SampleOptions options = parse_sample_options(args, &given);
  if (options.interactive) check_interactive(options, given);
  set_parallel_threads(int(options.threads));
  Interruptible scope;
  OpenedModel opened = open_packed(options);
  if (options.interactive)
    converse(opened, options);
  else
    print_samples(*opened.model, *opened.tokenizer, options);
  return 0;
}

}  // namespace folio

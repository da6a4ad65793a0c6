#include "sample/sample_command.h"

#include <unistd.h>

#include "checkpoint/open_model.h"
#include "configs/sample_options.h"
#include "core/output.h"
#include "data/files.h"
#include "data/progress_line.h"
#include "sample/conversation.h"
#include "sample/sample_output.h"

namespace folio {
namespace {

OpenedModel open_packed(const SampleOptions& options) {
  OpenedModel opened = open_model(options.init_from, options.out_dir, Purpose::inference,
                                  checkpoint_named(options.checkpoint));
  check(opened.tokenizer != nullptr,
        "{}: has no tokenizer. Text needs one: `folio sample` takes a folder that holds vocab.json "
        "and merges.txt, or tokenizer.json, beside the model, or a checkpoint of `folio train`",
        opened.source);
  note("{}\n", opened.described());
  if (!options.dtype.empty()) opened.model->context().dtype = dtype_named(options.dtype);
  WeightFormat as_saved = opened.weights.value_or(WeightFormat::f32);
  WeightFormat format = options.weights.empty() ? as_saved : weight_format_named(options.weights);
  pack(opened, {.format = format, .release = true});
  return opened;
}

std::string start_text(const SampleOptions& options) {
  bool is_file = options.start.starts_with("FILE:");
  return is_file ? read_file(options.start.substr(5)) : options.start;
}

GenerateOptions generate_options(const SampleOptions& o, const Tokenizer& tokenizer) {
  GenerateOptions options{.max_new_tokens = o.max_new_tokens,
                          .sampler = {.repetition_penalty = o.repetition_penalty,
                                      .temperature = o.temperature,
                                      .top_k = o.top_k,
                                      .top_p = o.top_p,
                                      .min_p = o.min_p},
                          .seed = uint64_t(o.seed),
                          .kv_cache = o.kv_cache,
                          .past_block = past_block_named(o.past_block),
                          .keep = o.keep,
                          .batch_size = o.batch_size,
                          .kv_cache_dtype = {},
                          .end_token = tokenizer.end_of_text().value_or(-1),
                          .tokens = tokenizer.vocab_size()};
  if (!o.kv_cache_dtype.empty()) options.kv_cache_dtype = dtype_named(o.kv_cache_dtype);
  return options;
}

// What came after the prompt, when it ended early, and how fast: on stderr, for the one who waits.
void report(const Generated& generated, const Gpt& model) {
  for (size_t i = 0; i < generated.samples.size(); ++i) {
    if (generated.samples[i].ending != Ending::block_size) continue;
    fmt::print(stderr,
               "folio: sample {} ends at the model's context of {} tokens; --past_block=block goes "
               "on\n",
               i + 1, model.config().block_size);
  }
  if (isatty(STDERR_FILENO) != 1) return;
  fmt::print(stderr,
             "{} tokens in {:.2f} s: {:.0f} tokens/s; prompt of {} tokens: {:.3f} s to the first "
             "token; KV cache {:.1f} MB\n",
             with_commas(generated.new_tokens), generated.seconds,
             double(generated.new_tokens) / std::max(generated.seconds, 1e-9),
             with_commas(generated.prompt_tokens), generated.prompt_seconds,
             double(generated.cache_bytes) / 1e6);
}

int print_samples(Gpt& model, const Tokenizer& tokenizer, const SampleOptions& options) {
  std::string text = start_text(options);
  std::vector<int32_t> prompt = tokenizer.encode(text, SpecialTokens::allowed);
  if (prompt.empty() && tokenizer.end_of_text()) prompt = {*tokenizer.end_of_text()};
  check(!prompt.empty(), "--start is empty: the model needs a character or more to continue");

  GenerateOptions how = generate_options(options, tokenizer);
  SampleOutput output(stdout, tokenizer, text, options);
  std::vector<std::vector<int32_t>> prompts(size_t(options.num_samples), prompt);
  Generated generated = generate(model, prompts, how,
                                 {.drawn = [&](const Draw& draw) { return output.show(draw); },
                                  .ended = [&](size_t sample, Ending) { output.end(sample); }});
  report(generated, model);
  return 0;
}

}  // namespace

// folio sample --out_dir=DIR [--key=value ...]
int sample_command(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  OptionOrigins given;
  SampleOptions options = parse_sample_options(args, &given);
  backend(device_named(options.device)).set_threads(int(options.threads));
  OpenedModel opened = open_packed(options);
  if (!options.interactive) return print_samples(*opened.model, *opened.tokenizer, options);

  Conversation conversation(*opened.model, opened.tokenizer,
                            generate_options(options, *opened.tokenizer), options.stop);
  if (given.contains("start")) conversation.begin_with(start_text(options));
  return conversation.run(stdin, stdout);
}

}  // namespace folio

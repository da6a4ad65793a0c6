#include "configs/sample_options.h"

#include "configs/model_rows.h"
#include "core/check.h"
#include "core/process/memory_limit.h"

namespace folio {

std::vector<Option> option_rows(SampleOptions& o) {
  return in_groups({
      {"model", model_rows(&o.init_from, &o.out_dir, &o.checkpoint,
                           tokenizer_rows(&o.tokenizer, &o.dataset, &o.data_dir))},
      {"text",
       {path_option("start", &o.start,
                    "the prompt, or FILE:PATH to read it from a file; none given: the end-of-text "
                    "token, or a newline, or the vocabulary's first token",
                    "FILE:"),
        {"chat", &o.chat,
         "answer --start as a message, by the model's chat template; with --interactive turn by "
         "turn"},
        path_option("system", &o.system, "with chat: the system message, or FILE:PATH of it",
                    "FILE:"),
        {"thinking", &o.thinking,
         "with chat: the template's enable_thinking, on or off; none given: its own choice",
         one_of({"", "on", "off"})},
        {"interactive", &o.interactive, "continue what you type, line by line, in one long text"},
        {"num_samples", &o.num_samples, "number of samples", at_least(1)},
        {"max_new_tokens", &o.max_new_tokens, "tokens per sample; may exceed block_size",
         at_least(1)},
        {"stop", &o.stop, "stop string: ends a sample, and is cut off; may be repeated"},
        {"ignore_eos", &o.ignore_eos,
         "go on past the model's end tokens (<|endoftext|> and the like), to max_new_tokens"},
        {"logprobs", &o.logprobs,
         "print each token's probability and those of this many most likely tokens, instead of "
         "text; they sum to 1 over the tokenizer's tokens; alone: 0; -1: print text",
         at_least(-1), int64_t(0)}}},
      {"sampling",
       {{"temperature", &o.temperature,
         "below 1 more predictable, above 1 more varied; 0: greedy, always the most likely token",
         at_least(0)},
        {"top_k", &o.top_k, "sample from the k most likely tokens; 0: from all", at_least(0)},
        {"top_p", &o.top_p,
         "nucleus sampling: from the most likely tokens that together have this probability",
         above_0_up_to_1()},
        {"min_p", &o.min_p,
         "drop tokens less probable than this fraction of the most likely token's probability",
         at_least_0_below_1()},
        {"repetition_penalty", &o.repetition_penalty,
         "above 1 penalizes tokens of the prompt and the text so far, as in Hugging Face's",
         above_0()},
        {"seed", &o.seed, "seed of the sampling; results do not depend on batching or threads",
         at_least(0)}}},
      {"beyond block_size",
       {{"past_block", &o.past_block,
         "window: go on as one forward pass over the whole text would, at a constant cost per "
         "token, which models with a window can whose positions are not learned; block: restart "
         "from the last half of the context, at a constant cost per token; slide: nanoGPT's "
         "sliding window; stop: end the sample; auto: window where the model can, else block",
         one_of({"auto", "window", "block", "slide", "stop"})},
        window_option(&o.window),
        {"keep", &o.keep, "tokens that past_block=block restarts from; 0: half of block_size",
         at_least(0)}}},
      {"speed and memory",
       {{"batch_size", &o.batch_size, "samples decoded together; the text stays the same",
         at_least(1)},
        {"kv_cache", &o.kv_cache, "cache keys and values; off: recompute them, same text, slower"},
        {"kv_cache_dtype", &o.kv_cache_dtype,
         "dtype of the KV cache: float32, bfloat16 or int8; none given: as dtype",
         one_of({"", "float32", "bfloat16", "int8"})},
        {"device", &o.device, "device to compute on", a_device()},
        {"dtype", &o.dtype, "dtype of activations: float32 or bfloat16; none given: float32",
         a_dtype({""})},
        {"weights", &o.weights,
         "format of the weight matrices: float32, bfloat16, or blocks of int8 or int4; none given: "
         "as in the file",
         one_of({"", "float32", "bfloat16", "int8", "int4"})},
        {"threads", &o.threads, "CPU threads; 0: one per core", at_least(0)}}},
  });
}

SampleOptions parse_sample_options(std::span<const std::string> args, OptionOrigins* given) {
  SampleOptions options;
  OptionTable table(option_rows(options));
  table.parse("folio sample [--out_dir=DIR | --init_from=MODEL] [CONFIG] [--key=value]", args);
  if (given) *given = table.given();
  constexpr double least = 128;  // bytes a sample, without a token
  check_memory(cpu, least * double(options.num_samples),
               fmt::format("num_samples={}: so many samples", options.num_samples),
               "draw fewer at once");
  return options;
}

}  // namespace folio

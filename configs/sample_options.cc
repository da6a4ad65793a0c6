#include "configs/sample_options.h"

#include "core/check.h"
#include "core/memory_limit.h"

namespace folio {

std::vector<Option> option_rows(SampleOptions& o) {
  return {
      {"init_from", &o.init_from, "resume: out_dir's checkpoint; or a model's folder or file"},
      {"out_dir", &o.out_dir, "folder of the checkpoint"},
      {"checkpoint", &o.checkpoint,
       "of a run's folder: best (or, without one yet, the newest) or last: the newest",
       one_of({"best", "last"})},
      {"start", &o.start, "the prompt, or FILE:prompt.txt to read it from a file"},
      {"interactive", &o.interactive, "continue what is typed, line by line, in one long text"},
      {"num_samples", &o.num_samples, "samples to draw, together as one batch", at_least(1)},
      {"max_new_tokens", &o.max_new_tokens, "tokens a sample, beyond block_size if asked",
       at_least(1)},
      {"stop", &o.stop, "ends a sample where it comes up, and is cut off; may be repeated"},
      {"temperature", &o.temperature, "below 1 safer, above 1 wilder; 0: always the likeliest",
       at_least(0)},
      {"top_k", &o.top_k, "draw among the k likeliest tokens; 0: among all", at_least(0)},
      {"top_p", &o.top_p, "draw among the likeliest tokens that together have this probability",
       above_0_up_to_1()},
      {"min_p", &o.min_p, "drop tokens with less than this share of the likeliest's probability",
       at_least_0_below_1()},
      {"repetition_penalty", &o.repetition_penalty,
       "above 1 avoids tokens of the prompt and the text so far, as Hugging Face's", above_0()},
      {"seed", &o.seed, "of the draws; the rest of the batch and the threads do not matter",
       at_least(0)},
      {"logprobs", &o.logprobs,
       "print each token's probability and this many of the likeliest; -1: print text",
       at_least(-1)},
      {"past_block", &o.past_block,
       "a text longer than block_size: block (constant price), slide (nanoGPT's windows) or stop",
       one_of({"block", "slide", "stop"})},
      {"keep", &o.keep, "tokens that past_block=block goes on from; 0: half of block_size",
       at_least(0)},
      {"batch_size", &o.batch_size, "samples decoded together; the text is the same", at_least(1)},
      {"kv_cache", &o.kv_cache, "on: keep keys and values; off: recompute, same text, slower"},
      {"kv_cache_dtype", &o.kv_cache_dtype,
       "of the cache: float32, bfloat16, int8; empty: the dtype",
       one_of({"", "float32", "bfloat16", "int8"})},
      {"device", &o.device, "what computes", one_of({"cpu"})},
      {"dtype", &o.dtype, "float32 or bfloat16; empty: float32",
       one_of({"", "float32", "bfloat16"})},
      {"weights", &o.weights,
       "how the matrices are kept: float32, bfloat16, or in blocks of 8 or 4 bits (int8, int4); "
       "empty: as the file has them",
       one_of({"", "float32", "bfloat16", "int8", "int4"})},
      {"threads", &o.threads, "of the CPU; 0: all", at_least(0)},
  };
}

SampleOptions parse_sample_options(std::span<const std::string> args, OptionOrigins* given) {
  SampleOptions options;
  OptionTable table(option_rows(options));
  table.parse("folio sample [CONFIG.toml] [--key=value ...]", args);
  if (given) *given = table.given();
  constexpr double least = 128;  // bytes a sample, without a token
  check_memory(least * double(options.num_samples),
               fmt::format("num_samples={}: so many samples", options.num_samples),
               "draw fewer at once");
  return options;
}

}  // namespace folio

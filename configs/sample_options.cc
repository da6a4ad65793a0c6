#include "configs/sample_options.h"

namespace folio {

std::vector<Option> option_rows(SampleOptions& o) {
  return {
      {"out_dir", &o.out_dir, "folder of the checkpoint"},
      {"start", &o.start, "the prompt, or FILE:prompt.txt to read it from a file"},
      {"num_samples", &o.num_samples, "samples to draw, together as one batch", at_least(1)},
      {"max_new_tokens", &o.max_new_tokens, "tokens a sample, beyond block_size if asked",
       at_least(1)},
      {"temperature", &o.temperature, "below 1 safer, above 1 wilder; 0: always the likeliest",
       at_least(0)},
      {"top_k", &o.top_k, "draw among the k likeliest tokens; 0: among all", at_least(0)},
      {"top_p", &o.top_p, "draw among the likeliest tokens that together have this probability",
       above_0_up_to_1()},
      {"seed", &o.seed, "of the draws", at_least(0)},
      {"kv_cache", &o.kv_cache, "on: keep keys and values; off: recompute, same text, slower"},
      {"device", &o.device, "what computes", one_of({"cpu"})},
      {"dtype", &o.dtype, "float32 or bfloat16; empty: float32",
       one_of({"", "float32", "bfloat16", "float64"})},
      {"threads", &o.threads, "of the CPU; 0: all", at_least(0)},
  };
}

SampleOptions parse_sample_options(std::span<const std::string> args) {
  SampleOptions options;
  OptionTable table(option_rows(options));
  table.parse("folio sample [CONFIG.toml] [--key=value ...]", args);
  return options;
}

}  // namespace folio

#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "configs/option_table.h"

namespace folio {

// nanoGPT's sample.py, and what inference engines add to it; the rows in sample_options.cc say what
// each one does.
struct SampleOptions {
  std::string init_from = "resume";
  std::string out_dir = "out";
  std::string checkpoint = "best";
  std::string tokenizer = "";
  std::string dataset = "";
  std::string data_dir = "";
  std::string start = "";
  bool chat = false;
  std::string system = "";
  std::string thinking = "";
  bool interactive = false;
  int64_t num_samples = 10;
  int64_t max_new_tokens = 500;
  std::vector<std::string> stop = {};
  bool ignore_eos = false;
  double temperature = 0.8;
  int64_t top_k = 200;
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  int64_t seed = 1337;
  int64_t logprobs = -1;
  std::string past_block = "auto";
  int64_t window = 0;
  int64_t keep = 0;
  int64_t batch_size = 64;
  bool kv_cache = true;
  std::string kv_cache_dtype = "";
  std::string device = "cpu";
  std::string dtype = "";
  std::string weights = "";
  int64_t threads = 0;
};

// The rows over `options`, for a command that adds its own to them.
std::vector<Option> option_rows(SampleOptions& options);

// [CONFIG] [--key=value ...] over the defaults, as OptionTable::parse reads them.
// `given`, if any, receives what the user set explicitly, and where.
SampleOptions parse_sample_options(std::span<const std::string> args,
                                   OptionOrigins* given = nullptr);

}  // namespace folio

#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "configs/option_table.h"

namespace folio {

// nanoGPT's sample.py, plus top_p, kv_cache and threads; the rows in sample_options.cc say what
// each one does.
struct SampleOptions {
  std::string out_dir = "out";
  std::string start = "\n";
  int64_t num_samples = 10;
  int64_t max_new_tokens = 500;
  double temperature = 0.8;
  int64_t top_k = 200;
  double top_p = 1.0;
  int64_t seed = 1337;
  bool kv_cache = true;
  std::string device = "cpu";
  std::string dtype = "";
  int64_t threads = 0;
};

// The rows over `options`, for a command that adds its own to them.
std::vector<Option> option_rows(SampleOptions& options);

// [CONFIG.toml] [--key=value ...] over the defaults, as OptionTable::parse reads them.
SampleOptions parse_sample_options(std::span<const std::string> args);

}  // namespace folio

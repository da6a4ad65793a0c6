#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "configs/option_table.h"
#include "nn/gpt_config.h"

namespace folio {

// nanoGPT's train.py, key by key, with its defaults where folio has what they ask for; the rows in
// train_options.cc say what each one does.
struct TrainOptions {
  std::string out_dir = "out";
  int64_t eval_interval = 2000;
  int64_t log_interval = 1;
  int64_t eval_iters = 200;
  bool eval_only = false;
  int64_t early_stop = 0;
  bool always_save_checkpoint = true;
  std::string init_from = "scratch";

  bool report = true;
  int64_t sample_tokens = -1;
  bool tensorboard = false;
  std::string plot = "auto";

  std::string dataset = "shakespeare_char";
  std::string data_dir = "datasets";
  bool allow_other_vocab = false;
  int64_t gradient_accumulation_steps = 5 * 8;
  int64_t batch_size = 12;

  GptConfig model{.bias = false};  // its vocab_size is no option: the dataset or the model says it

  std::string batches = "random";

  std::string optimizer = "adamw";
  double learning_rate = 6e-4;
  double muon_lr = 0.02;
  int64_t muon_warmup_iters = 300;
  int64_t max_iters = 600000;
  double weight_decay = 1e-1;
  std::string weight_decay_schedule = "constant";
  double beta1 = 0.9;
  double beta2 = 0.95;
  double grad_clip = 1.0;
  double ema = 0;

  bool decay_lr = true;
  std::string schedule = "cosine";
  double decay_fraction = 0.2;
  int64_t warmup_iters = 2000;
  int64_t lr_decay_iters = 600000;
  double min_lr = 6e-5;

  std::string device = "cpu";
  std::string dtype = "float32";
  bool recompute = false;
  int64_t seed = 1337;
  int64_t threads = 0;

  int64_t zero_stage = 1;
  int64_t comm_timeout = 300;
  bool check_network = false;
};

// The rows over `options`, for a command that adds its own to them.
std::vector<Option> option_rows(TrainOptions& options);

// What no single row can tell, such as n_head dividing n_embd. Throws Error with the values'
// origins.
void check_together(const TrainOptions& options, const OptionOrigins& given = {});

// Throws Error for an option that was given though another one leaves it without effect, as muon_lr
// under optimizer=adamw: for what the user set now alone, for a checkpoint has every option.
void check_contradictions(const TrainOptions& options, const OptionOrigins& given);

// [CONFIG] [--key=value ...] over the defaults, as OptionTable::parse reads them. `given`, if
// any, receives what the user set explicitly, and where: what a resumed run must not contradict.
TrainOptions parse_train_options(std::span<const std::string> args, OptionOrigins* given = nullptr);

// Every option by name, for a checkpoint, and back. A name that `values` lacks keeps its default,
// so that files from before an option existed still load; one that folio lacks throws Error.
OptionValues option_values(const TrainOptions& options);
TrainOptions train_options_from(const OptionValues& values, const std::string& where);

}  // namespace folio

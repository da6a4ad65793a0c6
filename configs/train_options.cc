#include "configs/train_options.h"

#include "core/check.h"
#include "core/memory_limit.h"

namespace folio {

std::vector<Option> option_rows(TrainOptions& o) {
  return {
      {"out_dir", &o.out_dir, "folder for checkpoints and log.csv"},
      {"eval_interval", &o.eval_interval, "iterations between two evaluations", at_least(1)},
      {"log_interval", &o.log_interval, "iterations between two lines of progress", at_least(1)},
      {"eval_iters", &o.eval_iters, "random batches a split in one evaluation", at_least(1)},
      {"eval_only", &o.eval_only, "evaluate once and stop"},
      {"always_save_checkpoint", &o.always_save_checkpoint,
       "save after every evaluation, not only after the best so far"},
      {"init_from", &o.init_from,
       "scratch; resume: go on from out_dir; gpt2, gpt2-medium, ... or a path: fine-tune"},
      {"dataset", &o.dataset, "what `folio prepare` made (nanoGPT's default is openwebtext)"},
      {"data_dir", &o.data_dir, "folder of the prepared datasets"},
      {"gradient_accumulation_steps", &o.gradient_accumulation_steps,
       "micro-batches an iteration, to stand for a larger batch", at_least(1)},
      {"batch_size", &o.batch_size, "sequences a micro-batch", at_least(1)},
      {"block_size", &o.block_size, "tokens a sequence: what the model can look back on",
       at_least(1)},
      {"n_layer", &o.n_layer, "transformer blocks", at_least(1)},
      {"n_head", &o.n_head, "attention heads a block; divides n_embd", at_least(1)},
      {"n_embd", &o.n_embd, "width of the model", at_least(1)},
      {"dropout", &o.dropout, "share of activations dropped; 0 for pretraining, 0.1 and up to tune",
       at_least_0_below_1()},
      {"bias", &o.bias, "biases in Linear and LayerNorm, as in GPT-2; without is a bit faster"},
      {"learning_rate", &o.learning_rate, "the largest learning rate", at_least(0)},
      {"max_iters", &o.max_iters, "iterations in all", at_least(0)},
      {"weight_decay", &o.weight_decay, "AdamW's, on matrices and embeddings only", at_least(0)},
      {"beta1", &o.beta1, "AdamW's memory of the gradient", at_least_0_below_1()},
      {"beta2", &o.beta2, "AdamW's memory of its square", at_least_0_below_1()},
      {"grad_clip", &o.grad_clip, "largest norm of the gradient; 0: no limit", at_least(0)},
      {"decay_lr", &o.decay_lr, "warm up, then decay along a cosine; else a constant rate"},
      {"warmup_iters", &o.warmup_iters, "iterations of linear warm-up", at_least(0)},
      {"lr_decay_iters", &o.lr_decay_iters, "where the decay ends, about max_iters", at_least(0)},
      {"min_lr", &o.min_lr, "where it ends up, about learning_rate/10", at_least(0)},
      {"device", &o.device, "what computes", one_of({"cpu"})},
      {"dtype", &o.dtype, "float32, or bfloat16 (f32 master weights)",
       one_of({"float32", "bfloat16"})},
      {"recompute", &o.recompute, "run each block again in backward: less memory, more time"},
      {"seed", &o.seed, "of the weights, the batches and the dropout masks", at_least(0)},
      {"threads", &o.threads, "of the CPU; 0: all", at_least(0)},
  };
}

static std::string origin(const OptionOrigins& given, const std::string& name) {
  auto found = given.find(name);
  return found == given.end() ? "default" : found->second;
}

using Factors = std::vector<std::pair<const char*, int64_t>>;

// What is made of these options is counted in 64 bits. `what` has so many elements of 4 bytes for
// each unit of their product.
static void check_countable(const Factors& factors, const char* what, double elements) {
  double bytes = 4 * elements;
  std::string names;
  for (const auto& [name, value] : factors) {
    bytes *= double(value);
    std::string named = fmt::format("{}={}", name, value);
    if (names.find(named) == names.npos) names += (names.empty() ? "" : ", ") + named;
  }
  check(bytes < 0x1p62, "{}: {} of that size have {:.3g} bytes, but {} are left; make them smaller",
        names, what, bytes, available_memory());
}

void check_together(const TrainOptions& options, const OptionOrigins& given) {
  const auto& o = options;
  check_countable({{"n_layer", o.n_layer}, {"n_embd", o.n_embd}, {"n_embd", o.n_embd}},
                  "the matrices of a model", 12);
  check_countable({{"block_size", o.block_size}, {"n_embd", o.n_embd}}, "position embeddings", 1);
  check_countable({{"batch_size", o.batch_size},
                   {"block_size", o.block_size},
                   {"n_layer", o.n_layer},
                   {"n_embd", o.n_embd}},
                  "the activations of a batch", 10);
  check_countable({{"gradient_accumulation_steps", o.gradient_accumulation_steps},
                   {"batch_size", o.batch_size},
                   {"block_size", o.block_size}},
                  "the tokens of an iteration", 1);
  check(options.n_embd % options.n_head == 0,
        "n_embd={} ({}) must be divisible by n_head={} ({}): each head gets n_embd/n_head channels",
        options.n_embd, origin(given, "n_embd"), options.n_head, origin(given, "n_head"));
}

TrainOptions parse_train_options(std::span<const std::string> args, OptionOrigins* given) {
  TrainOptions options;
  OptionTable table(option_rows(options));
  table.parse("folio train [CONFIG.toml] [--key=value ...]", args);
  check_together(options, table.given());
  if (given) *given = table.given();
  return options;
}

OptionValues option_values(const TrainOptions& options) {
  TrainOptions copy = options;
  return OptionTable(option_rows(copy)).values();
}

TrainOptions train_options_from(const OptionValues& values, const std::string& where) {
  TrainOptions options;
  OptionTable table(option_rows(options));
  table.set_all(values, where);
  check_together(options, table.given());
  return options;
}

}  // namespace folio

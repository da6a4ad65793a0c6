#include "configs/train_options.h"

#include "core/backend.h"
#include "core/process/memory_limit.h"

namespace folio {

namespace {

Rule rule_for(int64_t) { return at_least(1); }
Rule rule_for(double) { return at_least_0_below_1(); }
Rule rule_for(bool) { return {}; }
Rule rule_for(Activation) { return an_activation(); }
Rule rule_for(const std::string&) { return {}; }

// Of the fields whose type alone does not say what they may be.
Rule rule_of(const std::string& name, Rule by_type) {
  if (name == "position") return one_of({"learned", "rotary", "none"});
  if (name == "norm") return one_of({"layer", "rms"});
  if (name == "qk_norm") return one_of({"off", "rms", "rms_learned"});
  if (name == "residual_init") return one_of({"scaled", "zero"});
  if (name == "rope_factor") return at_least(1);
  if (name.starts_with("rope_") && name != "rope_original_context") return above_0();
  for (const char* free :
       {"norm_eps", "logit_softcap", "ffn_hidden", "head_dim", "n_kv_head", "attention_window"})
    if (name == free) return at_least(0);
  return by_type;
}

// A row for each field of the model that a user chooses.
std::vector<Option> field_rows(GptConfig& model) {
  std::vector<Option> rows;
  each_field(model, [&](std::string name, auto& field, std::string help) {
    if (name != "vocab_size") rows.push_back({name, &field, help, rule_of(name, rule_for(field))});
  });
  return rows;
}

}  // namespace

std::vector<Option> option_rows(TrainOptions& o) {
  return in_groups({
      {"run, checkpoints, evaluation",
       {path_option("out_dir", &o.out_dir, "folder of the run's checkpoints and log.csv"),
        path_option("init_from", &o.init_from,
                    "scratch: a new model; resume: continue the run in out_dir; gpt2, gpt2-medium, "
                    "... or the path of a model: fine-tune it"),
        {"eval_interval", &o.eval_interval, "iterations between evaluations", at_least(1)},
        {"eval_iters", &o.eval_iters, "random batches per split in an evaluation", at_least(1)},
        {"eval_only", &o.eval_only, "evaluate once, then stop"},
        {"early_stop", &o.early_stop,
         "stop after so many evaluations in a row without a better val loss; 0: never",
         at_least(0)},
        {"log_interval", &o.log_interval, "iterations between lines of progress", at_least(1)},
        {"always_save_checkpoint", &o.always_save_checkpoint,
         "nanoGPT's; folio saves the best (ckpt.h5) and the newest (last.h5) whatever it says"}}},
      {"watching",
       {{"report", &o.report,
         "keep out_dir/report.html up to date, and what `folio inspect` shows over training"},
        {"sample_tokens", &o.sample_tokens,
         "tokens that are sampled at each evaluation; 0: none; -1: 100 of characters, none of BPE",
         at_least(-1)},
        {"tensorboard", &o.tensorboard, "write event files for TensorBoard to out_dir/tensorboard"},
        {"plot", &o.plot,
         "draw the losses in text when the run ends, and print samples: auto: on a terminal",
         one_of({"auto", "on", "off"})}}},
      {"data",
       {{"dataset", &o.dataset,
         "name of a dataset made by `folio prepare` (nanoGPT's default is openwebtext)"},
        path_option("data_dir", &o.data_dir, "folder of the prepared datasets"),
        {"allow_other_vocab", &o.allow_other_vocab,
         "train on a dataset of another vocabulary than the model's, if it is not larger"}}},
      {"batch",
       {{"batch_size", &o.batch_size, "sequences per micro-batch", at_least(1)},
        {"gradient_accumulation_steps", &o.gradient_accumulation_steps,
         "micro-batches per iteration, whose gradients add up to a larger batch's", at_least(1)},
        {"batches", &o.batches,
         "random: sequences from anywhere; epochs: each piece of the text once an epoch, shuffled",
         one_of({"random", "epochs"})}}},
      {"model", field_rows(o.model)},
      {"optimizer",
       {{"optimizer", &o.optimizer,
         "adamw, or muon: Muon for the matrices of the blocks, AdamW for all else",
         one_of({"adamw", "muon"})},
        {"learning_rate", &o.learning_rate, "peak learning rate", at_least(0)},
        {"muon_lr", &o.muon_lr,
         "Muon's peak learning rate; it follows the schedule as learning_rate does", at_least(0)},
        {"muon_warmup_iters", &o.muon_warmup_iters,
         "iterations over which Muon's momentum rises from 0.85 to 0.95; 0: 0.95 from the start",
         at_least(0)},
        {"max_iters", &o.max_iters, "number of training iterations", at_least(0)},
        {"weight_decay", &o.weight_decay, "weight decay, of matrices and embeddings only",
         at_least(0)},
        {"weight_decay_schedule", &o.weight_decay_schedule,
         "constant, or how weight_decay falls to 0 at lr_decay_iters",
         one_of({"constant", "linear", "cosine"})},
        {"beta1", &o.beta1, "AdamW's decay rate of the gradient's average", at_least_0_below_1()},
        {"beta2", &o.beta2, "AdamW's decay rate of the squared gradient's average",
         at_least_0_below_1()},
        {"grad_clip", &o.grad_clip, "clip the gradient to this norm; 0: no clipping", at_least(0)},
        {"ema", &o.ema,
         "decay rate of an average of the weights, 0.99 say, to evaluate and to sample with; 0: "
         "none",
         at_least_0_below_1()},
        {"decay_lr", &o.decay_lr,
         "warm up, then decay the learning rate as schedule says; false: keep it constant"},
        {"schedule", &o.schedule,
         "after the warm-up: cosine, linear, or wsd (constant, then linear) down to min_lr",
         one_of({"cosine", "linear", "wsd"})},
        {"decay_fraction", &o.decay_fraction,
         "the last part of lr_decay_iters, in which schedule=wsd decays", above_0_up_to_1()},
        {"warmup_iters", &o.warmup_iters, "iterations of linear warm-up", at_least(0)},
        {"lr_decay_iters", &o.lr_decay_iters, "iteration where the decay ends, usually max_iters",
         at_least(0)},
        {"min_lr", &o.min_lr, "learning rate after the decay, usually learning_rate / 10",
         at_least(0)},
        {"seed", &o.seed, "seed of the weights, the batches and dropout", at_least(0)}}},
      {"speed and memory",
       {{"device", &o.device, "device to compute on", a_device()},
        {"dtype", &o.dtype, "float32, or bfloat16 with float32 master weights", a_dtype()},
        {"recompute", &o.recompute,
         "gradient checkpointing: recompute activations in the backward pass; less memory, slower"},
        {"threads", &o.threads, "CPU threads; 0: one per core", at_least(0)}}},
      {"many processes (mpirun)",
       {{"zero_stage", &o.zero_stage,
         "1: each process keeps and updates its share of the optimizer's state; 0: all of it, for "
         "slow networks",
         zero_or_one()},
        {"comm_timeout", &o.comm_timeout,
         "seconds after which a process that does not answer ends the run; longer than a save "
         "takes",
         at_least(1)},
        {"check_network", &o.check_network,
         "measure how fast the processes exchange, and what the model needs of it; train "
         "nothing"}}},
  });
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
        names, what, bytes, backend(cpu)->memory.available());
}

void check_together(const TrainOptions& options, const OptionOrigins& given) {
  const auto& o = options;
  check_countable(
      {{"n_layer", o.model.n_layer}, {"n_embd", o.model.n_embd}, {"n_embd", o.model.n_embd}},
      "the matrices of a model", 12);
  check_countable({{"block_size", o.model.block_size}, {"n_embd", o.model.n_embd}},
                  "position embeddings", 1);
  check_countable({{"batch_size", o.batch_size},
                   {"block_size", o.model.block_size},
                   {"n_layer", o.model.n_layer},
                   {"n_embd", o.model.n_embd}},
                  "the activations of a batch", 10);
  check_countable({{"gradient_accumulation_steps", o.gradient_accumulation_steps},
                   {"batch_size", o.batch_size},
                   {"block_size", o.model.block_size}},
                  "the tokens of an iteration", 1);
  check(options.model.head_dim > 0 || options.model.n_embd % options.model.n_head == 0,
        "n_embd={} ({}) must be divisible by n_head={} ({}): each head gets n_embd/n_head channels",
        options.model.n_embd, origin(given, "n_embd"), options.model.n_head,
        origin(given, "n_head"));
}

void check_contradictions(const TrainOptions& options, const OptionOrigins& given) {
  struct Dependence {
    const char* option;
    bool has_effect;
    const char *other, *wanted;
    std::string is;  // what the other is instead
  };
  const std::string no = options.decay_lr ? "true" : "false";
  const Dependence all[] = {
      {"muon_lr", options.optimizer == "muon", "optimizer", "muon", options.optimizer},
      {"muon_warmup_iters", options.optimizer == "muon", "optimizer", "muon", options.optimizer},
      {"schedule", options.decay_lr, "decay_lr", "true", no},
      {"decay_fraction", options.decay_lr && options.schedule == "wsd", "schedule", "wsd",
       options.decay_lr ? options.schedule : "wsd, but decay_lr=false"},
  };
  for (const Dependence& one : all) {
    auto place = given.find(one.option);
    check(place == given.end() || one.has_effect,
          "{}: {}: has an effect only with {}={}, which is {} ({}); set that, or leave {} out",
          place == given.end() ? "" : place->second, one.option, one.other, one.wanted, one.is,
          origin(given, one.other), one.option);
  }
}

TrainOptions parse_train_options(std::span<const std::string> args, OptionOrigins* given) {
  TrainOptions options;
  OptionTable table(option_rows(options));
  table.parse(
      "folio train [CONFIG] [--key=value ...]\n\n"
      "CONFIG is a TOML file, or one of nanoGPT's config/*.py.",
      args);
  check_together(options, table.given());
  // A run that goes on has options of its own besides.
  if (options.init_from != "resume") check_contradictions(options, table.given());
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

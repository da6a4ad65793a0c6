#include "train/run.h"

#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "data/torch_file/torch_file.h"
#include "train/nanogpt_run.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

fs::path resumed_file(const TrainOptions& options) {
  fs::path last = last_checkpoint(options.out_dir);
  return fs::exists(last) ? last : best_checkpoint(options.out_dir);
}

// The options that say a model's shape are the model's own from here on: it is an Error if the user
// asked for others. `source` is the file that the model came from.
void keep_shape(TrainOptions& options, const OptionOrigins& given, const GptConfig& model,
                const std::string& source) {
  auto keep = [&]<class T>(const char* key, T& value, const T& kept) {
    check(!given.contains(key) || value == kept,
          "{}: the model has {} = {}; it cannot be trained with {} ({})", source, key, kept, value,
          given.contains(key) ? given.at(key) : "");
    value = kept;
  };
  keep("n_layer", options.n_layer, model.n_layer);
  keep("n_head", options.n_head, model.n_head);
  keep("n_embd", options.n_embd, model.n_embd);
  keep("bias", options.bias, model.bias);
  bool cropped = given.contains("block_size") && options.init_from != "resume" &&
                 options.block_size < model.block_size;
  if (!cropped) keep("block_size", options.block_size, model.block_size);
}

// A model to fine-tune: nanoGPT's init_from=gpt2. Only dropout and a shorter block_size are the
// user's.
std::unique_ptr<Gpt> pretrained(TrainOptions& options, const OptionOrigins& given,
                                const Meta& dataset) {
  OpenedModel opened = open_model(options.init_from, options.out_dir);
  check_vocabulary(opened, dataset);
  keep_shape(options, given, opened.model->config(), opened.source);
  if (options.block_size < opened.model->config().block_size)
    opened.model->crop_block_size(options.block_size);
  opened.model->context().random = {uint64_t(options.seed)};
  return std::move(opened.model);
}

GptConfig new_model_config(const TrainOptions& options, int64_t vocab_size) {
  return {.block_size = options.block_size,
          .vocab_size = vocab_size,
          .n_layer = options.n_layer,
          .n_head = options.n_head,
          .n_embd = options.n_embd,
          .dropout = options.dropout,
          .bias = options.bias};
}

CheckpointFile state_to_resume(const TrainOptions& options) {
  fs::path path = resumed_file(options);
  check(fs::exists(path), "{}: nothing to resume in {}; start with --init_from=scratch",
        path.string(), options.out_dir);
  return load(path);
}

}  // namespace

Run::Run(const TrainOptions& given_options, const OptionOrigins& given)
    : options(given_options),
      data(open_dataset((fs::path(options.data_dir) / options.dataset).string())),
      batches(data.train, Generator{uint64_t(options.seed) ^ 0x6261746368}) {
  bool resume = options.init_from == "resume", nanogpt = is_torch_file(options.init_from);
  CheckpointFile file;
  if (resume || nanogpt) {
    file = resume ? state_to_resume(options) : state_to_take_over(options, data.meta, taken_over);
    keep_shape(options, given, model_config(file), file.path.string());
    if (nanogpt) crop_block_size(file, options.block_size);
    model = load_model(file);
    model->context().random = {uint64_t(options.seed)};
  } else if (options.init_from == "scratch") {
    model = std::make_unique<Gpt>(new_model_config(options, data.meta.tokenizer->vocab_size()),
                                  uint64_t(options.seed));
  } else {
    model = pretrained(options, given, data.meta);
  }
  Context& context = model->context();
  context.dtype = dtype_named(options.dtype);
  context.training = true;
  context.recompute = options.recompute;
  context.dropout = options.dropout;
  optimizer = std::make_unique<AdamW>(*model, AdamWOptions{.beta1 = options.beta1,
                                                           .beta2 = options.beta2,
                                                           .weight_decay = options.weight_decay});
  if (resume) restore(file);
  if (nanogpt) restore_training(file);
}

CheckpointFile Run::snapshot() const {
  CheckpointFile file;
  put_parameters(file, *model);
  for (const auto& [name, moments] : optimizer->moments) {
    file.tensors["adamw/m/" + name] = moments.m;
    file.tensors["adamw/v/" + name] = moments.v;
  }
  for (const auto& [key, value] : option_values(options)) file.attributes["option/" + key] = value;
  const Generator& dropout = model->context().random;
  const Generator& order = batches.generator();
  file.attributes["format"] = std::string("folio checkpoint 1");
  file.attributes["iter_num"] = iter;
  file.attributes["best_val_loss"] = best_val_loss;
  file.attributes["adamw/steps"] = optimizer->steps;
  file.attributes["random/dropout/seed"] = int64_t(dropout.seed);
  file.attributes["random/dropout/drawn"] = int64_t(dropout.drawn);
  file.attributes["random/batches/seed"] = int64_t(order.seed);
  file.attributes["random/batches/drawn"] = int64_t(order.drawn);
  put_tokenizer(file, *data.meta.tokenizer);
  return file;
}

void Run::restore(const CheckpointFile& file) {
  auto integer = [&](const char* key) { return file.attribute<int64_t>(key); };
  check(*saved_tokenizer(file) == *data.meta.tokenizer,
        "{}: the model was trained on another vocabulary than that of dataset {}",
        file.path.string(), options.dataset);
  restore_training(file);
  optimizer->steps = integer("adamw/steps");
  model->context().random = {uint64_t(integer("random/dropout/seed")),
                             uint64_t(integer("random/dropout/drawn"))};
  batches.set_generator(
      {uint64_t(integer("random/batches/seed")), uint64_t(integer("random/batches/drawn"))});
}

void Run::restore_training(const CheckpointFile& file) {
  iter = file.attribute<int64_t>("iter_num");
  best_val_loss = file.attribute<double>("best_val_loss");
  if (!file.has("adamw/steps")) return;
  optimizer->steps = file.attribute<int64_t>("adamw/steps");
  for (auto& [name, moments] : optimizer->moments) {
    for (auto [kind, moment] : {std::pair{"adamw/m/", &moments.m}, {"adamw/v/", &moments.v}}) {
      const Array& saved = file.tensor(kind + name);
      check(saved.shape() == moment->shape(), "{}: tensor {}{} is {}, expected {}",
            file.path.string(), kind, name, saved.shape(), moment->shape());
      *moment = saved;
    }
  }
}

}  // namespace folio

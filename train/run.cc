#include "train/run.h"

#include "checkpoint/model_file.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

fs::path resumed_file(const TrainOptions& options) {
  fs::path last = last_checkpoint(options.out_dir);
  return fs::exists(last) ? last : best_checkpoint(options.out_dir);
}

// A resumed model keeps the shape it was made with.
TrainOptions with_saved_shape(TrainOptions options, const OptionOrigins& given,
                              const CheckpointFile& file) {
  auto keep = [&]<class T>(const char* key, T& value) {
    T saved = file.attribute<T>(std::string("option/") + key);
    check(!given.contains(key) || value == saved,
          "{}: the model was trained with {} = {}; it cannot resume with {} ({})",
          file.path.string(), key, saved, value, given.contains(key) ? given.at(key) : "");
    value = saved;
  };
  keep("n_layer", options.n_layer);
  keep("n_head", options.n_head);
  keep("n_embd", options.n_embd);
  keep("block_size", options.block_size);
  keep("bias", options.bias);
  return options;
}

}  // namespace

Run::Run(const TrainOptions& given_options, const OptionOrigins& given)
    : options(given_options),
      data(open_dataset((fs::path(options.data_dir) / options.dataset).string())),
      batches(data.train, Generator{uint64_t(options.seed) ^ 0x6261746368}) {
  bool resume = options.init_from == "resume";
  CheckpointFile file;
  if (resume) {
    fs::path path = resumed_file(options);
    check(fs::exists(path), "{}: nothing to resume in {}; start with --init_from=scratch",
          path.string(), options.out_dir);
    file = load(path);
    options = with_saved_shape(options, given, file);
  }
  model = std::make_unique<Gpt>(GptConfig{.block_size = options.block_size,
                                          .vocab_size = data.meta.tokenizer->vocab_size(),
                                          .n_layer = options.n_layer,
                                          .n_head = options.n_head,
                                          .n_embd = options.n_embd,
                                          .dropout = options.dropout,
                                          .bias = options.bias},
                                uint64_t(options.seed));
  model->context().dtype = dtype_named(options.dtype);
  model->context().training = true;
  optimizer = std::make_unique<AdamW>(*model, AdamWOptions{.beta1 = options.beta1,
                                                           .beta2 = options.beta2,
                                                           .weight_decay = options.weight_decay});
  if (resume) restore(file);
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
  get_parameters(file, *model);
  for (auto& [name, moments] : optimizer->moments) {
    for (auto [kind, moment] : {std::pair{"adamw/m/", &moments.m}, {"adamw/v/", &moments.v}}) {
      const Array& saved = file.tensor(kind + name);
      check(saved.shape() == moment->shape(), "{}: tensor {}{} is {}, expected {}",
            file.path.string(), kind, name, saved.shape(), moment->shape());
      *moment = saved;
    }
  }
  iter = integer("iter_num");
  best_val_loss = file.attribute<double>("best_val_loss");
  optimizer->steps = integer("adamw/steps");
  model->context().random = {uint64_t(integer("random/dropout/seed")),
                             uint64_t(integer("random/dropout/drawn"))};
  batches.set_generator(
      {uint64_t(integer("random/batches/seed")), uint64_t(integer("random/batches/drawn"))});
}

}  // namespace folio

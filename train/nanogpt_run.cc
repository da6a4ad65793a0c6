#include "train/nanogpt_run.h"

#include "checkpoint/model_file.h"
#include "checkpoint/nanogpt_file.h"
#include "checkpoint/open_model.h"

namespace folio {
namespace {

double as_number(const Attribute& value) {
  return std::visit(
      [](const auto& v) {
        if constexpr (std::is_convertible_v<decltype(v), double>) return double(v);
        return std::numeric_limits<double>::quiet_NaN();
      },
      value);
}

std::string in_words(const Attribute& value) {
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

// "; its run had beta2 = 0.99 (here 0.95), ...": what makes the next steps other than nanoGPT's.
std::string differences(const CheckpointFile& state, const TrainOptions& options) {
  OptionValues here = option_values(options);
  std::string text;
  for (const char* key :
       {"learning_rate", "decay_lr", "warmup_iters", "lr_decay_iters", "min_lr", "weight_decay",
        "beta1", "beta2", "grad_clip", "dropout", "batch_size", "gradient_accumulation_steps"}) {
    auto there = state.attributes.find(std::string("option/") + key);
    if (there == state.attributes.end() || as_number(there->second) == as_number(here.at(key)))
      continue;
    text += fmt::format("{}{} = {} (here {})", text.empty() ? "; its run had " : ", ", key,
                        in_words(there->second), in_words(here.at(key)));
  }
  return text;
}

}  // namespace

CheckpointFile state_to_take_over(const TrainOptions& options, const Meta& meta,
                                  std::string& taken_over) {
  NanogptFile loaded = load_nanogpt(options.init_from, NanogptParts::all);
  CheckpointFile& state = loaded.state;
  std::string remark = check_vocabulary(options.init_from, model_config(state).vocab_size, nullptr,
                                        meta, options.allow_other_vocab);
  taken_over = fmt::format(
      "from {}: the model, iteration {}, best val loss {:.4f}, and {}{}; the order of the batches "
      "is folio's own{}",
      options.init_from, state.attribute<int64_t>("iter_num"),
      state.attribute<double>("best_val_loss"), loaded.optimizer, differences(state, options),
      remark.empty() ? "" : "; " + remark);
  return std::move(state);
}

void crop_block_size(CheckpointFile& file, int64_t block_size) {
  if (block_size == file.attribute<int64_t>("option/block_size")) return;
  file.attributes["option/block_size"] = block_size;
  for (const char* kind : {"model/", "adamw/m/", "adamw/v/"}) {
    auto found = file.tensors.find(std::string(kind) + "transformer.wpe.weight");
    if (found != file.tensors.end()) found->second = found->second.slice(0, block_size);
  }
}

}  // namespace folio

#include "train/resume.h"

#include "checkpoint/model_file.h"

namespace folio {
namespace {

constexpr std::string_view option_prefix = "option/";

std::string in_words(const OptionValue& value) {
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

// Says how the run is started, not what it is: never taken from the run so far.
bool of_this_start(const std::string& key) { return key == "out_dir" || key == "eval_only"; }

}  // namespace

TrainOptions resumed_options(const CheckpointFile& file, const TrainOptions& now,
                             const OptionOrigins& given, OptionOrigins& origins,
                             std::vector<std::string>& notes) {
  std::string path = file.path.string();
  TrainOptions shaped = now;
  keep_shape(shaped, given, model_config(file), path, false);
  OptionValues values;
  for (const auto& [key, value] : file.attributes)
    if (key.starts_with(option_prefix)) values[key.substr(option_prefix.size())] = value;
  for (const auto& [key, value] : values) origins[key] = path;
  for (const auto& [key, value] : option_values(now)) {
    auto origin = given.find(key);
    if (of_this_start(key)) {
      values[key] = value;
    } else if (origin != given.end() && key != "init_from") {
      auto before = values.find(key);
      if (before != values.end() && before->second != value)
        notes.push_back(fmt::format("{} = {} ({}), until now {}", key, in_words(value),
                                    origin->second, in_words(before->second)));
      values[key] = value;
    } else {
      continue;
    }
    if (origin != given.end()) origins[key] = origin->second;
  }
  return train_options_from(values, path);
}

void keep_shape(TrainOptions& options, const OptionOrigins& given, const GptConfig& model,
                const std::string& source, bool may_crop) {
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
  bool cropped = may_crop && given.contains("block_size") && options.block_size < model.block_size;
  if (!cropped) keep("block_size", options.block_size, model.block_size);
}

}  // namespace folio

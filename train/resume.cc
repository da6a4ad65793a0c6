#include "train/resume.h"

#include "checkpoint/model_file.h"

namespace folio {
namespace {

constexpr std::string_view option_prefix = "option/";

std::string in_words(const OptionValue& value) {
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

// Says how the run is started, not what it is: never taken from the run so far.
bool of_this_start(const std::string& key) {
  return key == "out_dir" || key == "eval_only" || key == "check_network";
}

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
  auto saved = values.find("optimizer");  // which files from before there was a choice lack
  const std::string own_optimizer =
      saved == values.end() ? TrainOptions().optimizer : in_words(saved->second);
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
  TrainOptions options = train_options_from(values, path);
  keep_shape(options, {}, model_config(file), path,
             false);  // those that are no "option/" of a file
  check_contradictions(options, given);
  check(options.optimizer == own_optimizer,
        "{}: has the state of optimizer={}; it cannot be trained on with {} ({})", path,
        own_optimizer, options.optimizer, given.contains("optimizer") ? given.at("optimizer") : "");
  return options;
}

void keep_shape(TrainOptions& options, const OptionOrigins& given, const GptConfig& model,
                const std::string& source, bool may_crop) {
  GptConfig kept = model;
  kept.dropout = options.model.dropout;
  bool cropped =
      may_crop && given.contains("block_size") && options.model.block_size < model.block_size;
  if (cropped) kept.block_size = options.model.block_size;
  OptionValues asked = option_values(options);
  options.model = kept;
  for (const auto& [key, value] : option_values(options)) {
    auto origin = given.find(key);
    check(origin == given.end() || asked.at(key) == value,
          "{}: the model has {} = {}; it cannot be trained with {} ({})", source, key,
          in_words(value), in_words(asked.at(key)), origin == given.end() ? "" : origin->second);
  }
}

}  // namespace folio

#include "checkpoint/model_file.h"

#include <algorithm>
#include <vector>

#include "data/text/utf8.h"
#include "data/tokenizer/char_tokenizer.h"

namespace folio {
namespace {

constexpr std::string_view field_prefix = "config/";

// The attribute that has a field. The fields of these two lists were there from the beginning; a
// later one has a prefix by which a folio that does not know it can tell that it is the model's.
std::string attribute_of(std::string_view field) {
  for (std::string_view own : {"vocab_size", "activation"})
    if (field == own) return std::string(field);
  for (std::string_view option : {"block_size", "n_layer", "n_head", "n_embd", "dropout", "bias"})
    if (field == option) return fmt::format("option/{}", field);
  return fmt::format("{}{}", field_prefix, field);
}

void check_fields_known(const CheckpointFile& file) {
  std::vector<std::string_view> known;
  GptConfig config;
  each_field(config, [&](std::string_view name, auto&, auto) { known.push_back(name); });
  for (const auto& [key, value] : file.attributes) {
    if (!key.starts_with(field_prefix)) continue;
    std::string field = key.substr(field_prefix.size());
    check(std::ranges::count(known, field) == 1,
          "{}: the model has a field \"{}\" that this folio does not know; a newer one made it",
          file.path.string(), field);
  }
}

// Files from before folio read GPT-2 have no activation: theirs is GptConfig's default, as every
// later field's is in the files from before it.
bool may_lack(std::string_view field) {
  return field == "activation" || attribute_of(field).starts_with(field_prefix);
}

void take_field(const CheckpointFile& file, const std::string& key, Activation& activation) {
  const std::string& name = file.attribute<std::string>(key);
  activation = Activation::named(name);
  check(activation != Unary::none, "{}: the model's {} \"{}\" is not one that this folio has",
        file.path.string(), key, name);
}
template <class T>
void take_field(const CheckpointFile& file, const std::string& key, T& field) {
  field = file.attribute<T>(key);
}

}  // namespace

std::filesystem::path best_checkpoint(const std::string& out_dir) {
  return std::filesystem::path(out_dir) / "ckpt.h5";
}

std::filesystem::path last_checkpoint(const std::string& out_dir) {
  return std::filesystem::path(out_dir) / "last.h5";
}

GptConfig model_config(const CheckpointFile& file) {
  check_fields_known(file);
  GptConfig config;
  each_field(config, [&](std::string_view name, auto& field, auto) {
    std::string key = attribute_of(name);
    if (file.has(key) || !may_lack(name)) take_field(file, key, field);
  });
  return config;
}

void put_config(CheckpointFile& file, const GptConfig& config) {
  each_field(config, [&](std::string_view name, const auto& field, auto) {
    if constexpr (std::is_same_v<decltype(field), const Activation&>)
      file.attributes[attribute_of(name)] = std::string(field.name());
    else
      file.attributes[attribute_of(name)] = field;
  });
}

void check_sizes(const CheckpointFile& file, const GptConfig& config) {
  saved_parameter(file, "transformer.ln_f.weight", {config.n_embd});
  for (int64_t i = 0; i < config.n_layer; ++i)
    saved_parameter(file, fmt::format("transformer.h.{}.ln_1.weight", i), {config.n_embd});
}

void check_full_weights(const CheckpointFile& file) {
  if (!file.has("weights")) return;
  fail(
      "{}: holds {} weights, for inference alone (folio sample, folio eval); to train, export or "
      "quantise, take the model that they were made from",
      file.path.string(), file.attribute<std::string>("weights"));
}

std::unique_ptr<Gpt> load_model(const CheckpointFile& file, Device device) {
  CheckpointFile shared = file;
  return take_model(shared, device);
}

std::unique_ptr<Gpt> take_model(CheckpointFile& file, Device device) {
  check_full_weights(file);
  GptConfig config = model_config(file);
  check_sizes(file, config);
  auto model = std::make_unique<Gpt>(config, device);
  model->parameters([&](const std::string& name, Parameter& parameter) {
    parameter = take_parameter(file, name, parameter.shape(), device);
  });
  return model;
}

void put_parameters(CheckpointFile& file, Gpt& model) {
  put_config(file, model.config());
  model.parameters([&](const std::string& name, Parameter& parameter) {
    file.tensors["model/" + name] = parameter.array();
  });
}

const Array& saved_parameter(const CheckpointFile& file, const std::string& name,
                             const Shape& shape) {
  const Array& values = file.tensor("model/" + name);
  check(values.shape() == shape, "{}: tensor model/{} is {}, the model needs {}",
        file.path.string(), name, values.shape(), shape);
  return values;
}

Parameter take_parameter(CheckpointFile& file, const std::string& name, const Shape& shape,
                         Device device) {
  saved_parameter(file, name, shape);
  Array values = file.take("model/" + name);
  check_finite(values, file.path.string(), "model/" + name);
  values = to(values, device);
  if (!values.sole_owner() || values.dtype() != DType::f32)
    values = backend(values)->elementwise.cast(values, DType::f32);
  return Parameter::leaf(std::move(values));
}

void put_average(CheckpointFile& file, const std::map<std::string, Array>& values) {
  for (const auto& [name, array] : values) file.tensors["ema/" + name] = array;
}

bool has_average(const CheckpointFile& file) {
  auto first = file.tensors.lower_bound("ema/");
  return first != file.tensors.end() && first->first.starts_with("ema/");
}

std::map<std::string, Array> take_average(CheckpointFile& file, Gpt& model) {
  std::map<std::string, Array> values;
  if (!has_average(file)) return values;
  model.parameters([&](const std::string& name, Parameter& parameter) {
    Array average = file.take("ema/" + name);
    check(average.shape() == parameter.shape(), "{}: tensor ema/{} is {}, the model needs {}",
          file.path.string(), name, average.shape(), parameter.shape());
    values[name] = to(average, model.context().device);
  });
  return values;
}

bool prefer_average(CheckpointFile& file) {
  if (!has_average(file)) return false;
  for (auto& [name, array] : file.tensors)
    if (name.starts_with("model/")) array = file.tensor("ema/" + name.substr(6));
  std::erase_if(file.tensors, [](const auto& entry) { return entry.first.starts_with("ema/"); });
  return true;
}

void check_finite(const Array& values, const std::string& path, const std::string& name) {
  check(
      backend(values)->reductions.all_finite(values),
      "{}: tensor {} holds NaN or infinity, so the model computes nothing; take a checkpoint from "
      "before it diverged",
      path, name);
}

void put_tokenizer(CheckpointFile& file, const Tokenizer& tokenizer) {
  auto* of_characters = dynamic_cast<const CharTokenizer*>(&tokenizer);
  if (!of_characters) {
    file.attributes["tokenizer"] = to_text(tokenizer);
    return;
  }
  std::string characters;
  for (char32_t c : of_characters->characters()) append_utf8(characters, c);
  file.attributes["vocabulary"] = characters;
}

std::shared_ptr<const Tokenizer> saved_tokenizer(const CheckpointFile& file) {
  std::string name = file.path.string() + ": the ";
  if (file.has("tokenizer"))
    return tokenizer_from_text(file.attribute<std::string>("tokenizer"), name + "tokenizer");
  std::u32string characters;
  for_each_code_point(file.attribute<std::string>("vocabulary"), name + "vocabulary",
                      [&](char32_t c, size_t) { characters += c; });
  return std::make_shared<CharTokenizer>(characters);
}

}  // namespace folio

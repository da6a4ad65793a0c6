#include "checkpoint/model_file.h"

#include "data/text/utf8.h"
#include "data/tokenizer/char_tokenizer.h"

namespace folio {
namespace {

std::string activation_name(Unary op) {
  return visit_unary(op, [](auto function) { return std::string(function.name); });
}

Unary saved_activation(const CheckpointFile& file) {
  if (!file.has("activation")) return gelu_erf_op;
  const std::string& name = file.attribute<std::string>("activation");
  for (Unary op : {gelu_erf_op, gelu_tanh_op})
    if (name == activation_name(op)) return op;
  fail("{}: the model's activation \"{}\" is not one that this folio has", file.path.string(),
       name);
}

}  // namespace

std::filesystem::path best_checkpoint(const std::string& out_dir) {
  return std::filesystem::path(out_dir) / "ckpt.h5";
}

std::filesystem::path last_checkpoint(const std::string& out_dir) {
  return std::filesystem::path(out_dir) / "last.h5";
}

GptConfig model_config(const CheckpointFile& file) {
  auto size = [&](const char* key) { return file.attribute<int64_t>(key); };
  return {.block_size = size("option/block_size"),
          .vocab_size = size("vocab_size"),
          .n_layer = size("option/n_layer"),
          .n_head = size("option/n_head"),
          .n_embd = size("option/n_embd"),
          .dropout = file.attribute<double>("option/dropout"),
          .bias = file.attribute<bool>("option/bias"),
          .activation = saved_activation(file)};
}

void put_config(CheckpointFile& file, const GptConfig& config) {
  file.attributes["vocab_size"] = config.vocab_size;
  file.attributes["activation"] = activation_name(config.activation);
  file.attributes["option/block_size"] = config.block_size;
  file.attributes["option/n_layer"] = config.n_layer;
  file.attributes["option/n_head"] = config.n_head;
  file.attributes["option/n_embd"] = config.n_embd;
  file.attributes["option/dropout"] = config.dropout;
  file.attributes["option/bias"] = config.bias;
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
    values = backend(values).cast(values, DType::f32);
  return Parameter::leaf(std::move(values));
}

void check_finite(const Array& values, const std::string& path, const std::string& name) {
  check(
      backend(values).all_finite(values),
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

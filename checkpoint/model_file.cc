#include "checkpoint/model_file.h"

#include "data/tokenizer/char_tokenizer.h"
#include "data/utf8.h"

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

void check_shape(const CheckpointFile& file, const std::string& name, const Shape& wanted) {
  const Array& values = file.tensor("model/" + name);
  check(values.shape() == wanted, "{}: tensor model/{} is {}, the model needs {}",
        file.path.string(), name, values.shape(), wanted);
}

// Before a model of that size is made: the file has what makes it so large.
void check_sizes(const CheckpointFile& file, const GptConfig& config) {
  check_shape(file, "transformer.wte.weight", {config.vocab_size, config.n_embd});
  check_shape(file, "transformer.wpe.weight", {config.block_size, config.n_embd});
  check(config.n_layer <= int64_t(file.tensors.size()), "{}: n_layer is {}, for {} tensors",
        file.path.string(), config.n_layer, file.tensors.size());
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

std::unique_ptr<Gpt> load_model(const CheckpointFile& file) {
  GptConfig config = model_config(file);
  check_sizes(file, config);
  auto model = std::make_unique<Gpt>(config);
  get_parameters(file, *model);
  return model;
}

void put_parameters(CheckpointFile& file, Gpt& model) {
  file.attributes["vocab_size"] = model.config().vocab_size;
  file.attributes["activation"] = activation_name(model.config().activation);
  model.parameters([&](const std::string& name, Parameter& parameter) {
    file.tensors["model/" + name] = parameter.array();
  });
}

void get_parameters(const CheckpointFile& file, Gpt& model) {
  model.parameters([&](const std::string& name, Parameter& parameter) {
    check_shape(file, name, parameter.shape());
    parameter.assign(file.tensor("model/" + name));
  });
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

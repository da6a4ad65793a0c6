#include "checkpoint/model_file.h"

#include "data/utf8.h"

namespace folio {

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
          .bias = file.attribute<bool>("option/bias")};
}

std::unique_ptr<Gpt> load_model(const CheckpointFile& file) {
  auto model = std::make_unique<Gpt>(model_config(file), 0);
  get_parameters(file, *model);
  return model;
}

void put_parameters(CheckpointFile& file, Gpt& model) {
  model.parameters([&](const std::string& name, Parameter& parameter) {
    file.tensors["model/" + name] = parameter.array();
  });
}

void get_parameters(const CheckpointFile& file, Gpt& model) {
  model.parameters([&](const std::string& name, Parameter& parameter) {
    const Array& values = file.tensor("model/" + name);
    check(values.shape() == parameter.shape(), "{}: tensor model/{} is {}, the model needs {}",
          file.path.string(), name, values.shape(), parameter.shape());
    parameter.assign(values);
  });
}

std::string vocabulary(const CharTokenizer& tokenizer) {
  std::string text;
  for (char32_t character : tokenizer.characters()) append_utf8(text, character);
  return text;
}

CharTokenizer saved_tokenizer(const CheckpointFile& file) {
  std::u32string characters;
  for_each_code_point(file.attribute<std::string>("vocabulary"),
                      file.path.string() + ": the vocabulary",
                      [&](char32_t character, size_t) { characters += character; });
  return CharTokenizer(characters);
}

}  // namespace folio

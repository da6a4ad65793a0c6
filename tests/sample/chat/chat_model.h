#pragma once
#include "checkpoint/hugging_face.h"
#include "data/files/files.h"
#include "data/hugging_face/tokenizer_files.h"
#include "tests/data/temporary_folder.h"
#include "tests/reference/chat.h"
#include "tests/sample/tiny_model.h"

namespace folio {

// A model of random weights that says what a small BPE spells back as the very same tokens: letters
// that no merge has. With `wild` it says anything, also what is no UTF-8.
inline std::unique_ptr<Gpt> chat_model(GptConfig config, const Tokenizer& tokenizer,
                                       bool wild = false) {
  config.vocab_size = tokenizer.vocab_size();
  auto model = dense_model(config);
  if (wild) return model;
  model->parameters([&](const std::string& name, Parameter& p) {
    if (name != "transformer.wte.weight") return;
    std::vector<float> rows = to_vector<float>(p.array());
    const auto C = size_t(config.n_embd);
    for (int32_t id = 0; id < config.vocab_size; ++id) {
      const std::string text = tokenizer.decode({&id, 1});
      if (text.size() == 1 && std::string("dgijklmnopqrsuvwxyz").find(text) != std::string::npos)
        continue;
      // Its logit is 0, which the largest of the others is above.
      for (size_t i = 0; i < C; ++i) rows[size_t(id) * C + i] = 0;
    }
    p = Parameter::leaf(to(to_array(rows, p.array().shape()), p.array().device()));
  });
  return model;
}

inline GptConfig chat_config(int64_t block_size) {
  GptConfig config = endless_config();
  config.block_size = block_size;
  config.attention_window = 0;
  return config;
}

// A folder in Hugging Face's layout with such a model and the template.
inline void write_chat_model(const std::string& folder, const nlohmann::json& templates,
                             const GptConfig& config, const TextFormat& format = {},
                             bool wild = false) {
  TemporaryFolder files;
  reference::write_chat_tokenizer(files.path(), templates);
  const auto tokenizer = load_tokenizer_files(files.path());
  GptConfig llama = config;
  llama.norm = "rms";
  llama.bias = false;
  llama.activation = Activation::swiglu();
  auto model = chat_model(llama, *tokenizer, wild);
  TextFormat whole = format;
  whole.chat = load_chat_format(files.path());
  save_hugging_face(folder, *model, tokenizer.get(), false, whole);
}

}  // namespace folio

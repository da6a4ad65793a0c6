#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint/hugging_face.h"
#include "checkpoint/model_file.h"
#include "data/files/files.h"
#include "data/safetensors/safetensors.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {

// A model of random weights, and a folder to which it was exported.
class HuggingFace : public testing::Test {
 protected:
  static constexpr int64_t C = 8, V = 5, T = 6;

  static std::unique_ptr<Gpt> a_model(bool bias = true, Unary activation = gelu_tanh_op) {
    auto model = std::make_unique<Gpt>(GptConfig{.block_size = T,
                                                 .vocab_size = V,
                                                 .n_layer = 2,
                                                 .n_head = 2,
                                                 .n_embd = C,
                                                 .bias = bias,
                                                 .activation = activation},
                                       test_device(), 1);
    uint64_t stream = 0;  // biases and norms too
    model->parameters([&](const std::string&, Parameter& p) {
      Array values = p.array();
      backend(values)->random.normal(values, 0.1, 0.3, {4, ++stream});
    });
    return model;
  }
  static std::vector<float> logits(Gpt& model) {
    NoGrad no_grad;
    return to_vector<float>(
        model(to_array(std::vector<int32_t>{1, 4, 0, 2, 3, 3}, {1, T})).array());
  }
  HuggingFace() { save_hugging_face(path, *model, &characters); }

  nlohmann::json config() const { return nlohmann::json::parse(read_file(folder / "config.json")); }
  void set(const std::string& key, const nlohmann::json& value) {
    nlohmann::json json = config();
    json[key] = value;
    write_file(folder / "config.json", json.dump());
  }
  // Writes the weights again after `change`, which gets their names, dtypes and arrays.
  using Tensors = std::map<std::string, Array>;
  void rewrite(const std::function<void(Tensors&)>& change,
               const std::string& name = "model.safetensors") {
    Tensors tensors;
    {
      Safetensors file(folder / "model.safetensors");
      for (const std::string& tensor : file.names()) {
        Array values = file.tensor(tensor);
        tensors[tensor] = backend(values)->elementwise.cast(values, values.dtype());
      }
    }
    change(tensors);
    write(name, tensors);
  }
  void write(const std::string& name, const Tensors& tensors) {
    std::vector<SafetensorsSource> sources;
    for (const auto& [tensor, array] : tensors)
      sources.push_back({tensor, array.dtype(), array.shape(), [array = array] { return array; }});
    write_safetensors(folder / name, sources, {});
  }
  std::string error() const {
    return error_of([&] { load_hugging_face(path, test_device()); });
  }

  // A folio checkpoint as a run leaves it.
  std::filesystem::path save_checkpoint(const TemporaryFolder& out, Gpt& model) const {
    CheckpointFile file;
    put_parameters(file, model);
    put_tokenizer(file, characters);
    save(best_checkpoint(out.path()), file);
    return best_checkpoint(out.path());
  }

  const CharTokenizer characters{U"abcde"};
  TemporaryFolder folder;
  std::filesystem::path path = folder.path();
  std::unique_ptr<Gpt> model = a_model();
};

}  // namespace folio

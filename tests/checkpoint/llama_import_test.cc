// Reading Llama's and Qwen3's layouts: folders as transformers has them, in which it computes what
// exports.json says (tests/reference/make_exports.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/hugging_face.h"
#include "data/files/files.h"
#include "data/safetensors/safetensors.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"
#include "tests/reference/exports.h"

namespace folio {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using Tensors = std::map<std::string, Array>;

class LlamaImport : public testing::Test {
 protected:
  const json& named(const std::string& name) const {
    for (const json& one : cases)
      if (one.at("name") == name) return one;
    throw std::runtime_error("exports.json has no case " + name);
  }
  static Tensors tensors_of(const json& one) {
    Tensors tensors;
    for (const auto& [parameter, parts] : one.at("weights").items())
      for (const json& spec : parts)
        tensors[spec.at("name").get<std::string>()] = to(reference::values_of(spec), cpu);
    return tensors;
  }
  void write(const std::string& name, const Tensors& tensors) const {
    std::vector<SafetensorsSource> sources;
    for (const auto& [tensor, array] : tensors)
      sources.push_back({tensor, array.dtype(), array.shape(), [array = array] { return array; }});
    write_safetensors(folder / name, sources, {});
  }
  void write_folder(const json& config, const Tensors& tensors) const {
    write_file(folder / "config.json", config.dump());
    write("model.safetensors", tensors);
  }
  std::unique_ptr<Gpt> load(bool read_only = false) const {
    return load_hugging_face(folder.path(), test_device(), read_only);
  }
  std::string error() const {
    return error_of([&] { load(); });
  }
  static void expect_same(Gpt& got, Gpt& wanted) {
    std::map<std::string, std::vector<float>> values;
    got.parameters(
        [&](const std::string& name, Parameter& p) { values[name] = to_vector<float>(p.array()); });
    size_t count = 0;
    wanted.parameters([&](const std::string& name, Parameter& p) {
      ++count;
      EXPECT_EQ(values[name], to_vector<float>(p.array())) << name;
    });
    EXPECT_EQ(values.size(), count);
  }

  const json cases = reference::export_cases();
  TemporaryFolder folder;
};

TEST_F(LlamaImport, LogitsLossAndGradientsAreTransformers) {
  for (const json& one : cases) {
    SCOPED_TRACE(one.at("name"));
    write_folder(one.at("config"), tensors_of(one));
    auto model = load();
    const Array ids = reference::tokens_of(one.at("batch"));
    {
      NoGrad no_grad;
      reference::expect_excerpt((*model)(ids).array(), one.at("logits"), "logits ");
    }
    const std::vector<int32_t> all = to_vector<int32_t>(ids);
    const int64_t B = ids.dim(0), T = ids.dim(1);
    std::vector<int32_t> x, y;
    for (int64_t b = 0; b < B; ++b) {
      x.insert(x.end(), all.begin() + b * T, all.begin() + (b + 1) * T - 1);
      y.insert(y.end(), all.begin() + b * T + 1, all.begin() + (b + 1) * T);
    }
    Tensor loss = model->loss(to_array(x, {B, T - 1}), to_array(y, {B, T - 1}));
    const double expected = one.at("loss");
    EXPECT_NEAR(to_vector<float>(loss.array())[0], expected, 1e-4 * expected);
    loss.backward();
    size_t count = 0;
    model->parameters([&](const std::string& name, Parameter& p) {
      ++count;
      reference::expect_excerpt(p.grad(), one.at("gradients").at(name), name);
    });
    EXPECT_EQ(one.at("gradients").size(), count);
  }
}

TEST_F(LlamaImport, EveryParameterHasTheFilesNumbers) {
  for (const json& one : cases) {
    SCOPED_TRACE(one.at("name"));
    write_folder(one.at("config"), tensors_of(one));
    auto wanted = reference::model_of(one);
    for (bool read_only : {false, true}) expect_same(*load(read_only), *wanted);
  }
}

// What a fine-tuner saves: the class's own layout, again.
TEST_F(LlamaImport, WhatWasReadIsExportedAsItWas) {
  for (const json& one : cases) {
    SCOPED_TRACE(one.at("name"));
    write_folder(one.at("config"), tensors_of(one));
    auto model = load();
    TemporaryFolder out;
    EXPECT_EQ(save_hugging_face(out.path(), *model, nullptr),
              one.at("config").at("architectures").at(0));
    json config = json::parse(read_file(out / "config.json"));
    config.erase("folio_digest");
    EXPECT_EQ(config, one.at("config"));
    const Safetensors file(out / "model.safetensors");
    const Tensors tensors = tensors_of(one);
    EXPECT_EQ(file.names().size(), tensors.size());
    for (const auto& [name, values] : tensors)
      EXPECT_EQ(to_vector<float>(file.tensor(name)), to_vector<float>(values)) << name;
  }
}

TEST_F(LlamaImport, ShardsOfBf16AreOneModel) {
  const json& one = named("qwen3_untied");
  Tensors narrow = tensors_of(one), first, second;
  nlohmann::json map;
  for (auto& [name, array] : narrow) {
    array = backend(array)->elementwise.cast(array, DType::bf16);
    const bool early = first.size() < 9;
    (early ? first : second)[name] = array;
    map[name] = early ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }
  write_file(folder / "config.json", one.at("config").dump());
  write_file(folder / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
  write("model-00001-of-00002.safetensors", first);
  write("model-00002-of-00002.safetensors", second);
  auto wanted = reference::model_of(one);
  wanted->parameters([&](const std::string&, Parameter& p) {
    const Array bf16 = backend(p.array())->elementwise.cast(p.array(), DType::bf16);
    p = Parameter::leaf(backend(bf16)->elementwise.cast(bf16, DType::f32));
  });
  expect_same(*load(), *wanted);
}

// Of a tied pair either name, or both; the names of the model without its head; old buffers.
TEST_F(LlamaImport, NamesComeInOtherForms) {
  const json& one = named("llama");
  auto wanted = reference::model_of(one);
  Tensors tensors = tensors_of(one);
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = zeros({4}, DType::f32);
  write_folder(one.at("config"), tensors);
  expect_same(*load(), *wanted);
  tensors.erase("model.embed_tokens.weight");
  write_folder(one.at("config"), tensors);
  expect_same(*load(), *wanted);
  Tensors bare;
  for (const auto& [name, array] : tensors_of(one)) bare[name.substr(6)] = array;
  write_folder(one.at("config"), bare);
  expect_same(*load(), *wanted);
}

TEST_F(LlamaImport, WeightsThatAreNotTheConfigsAreRefused) {
  const json& tied = named("llama");
  const json& untied = named("llama_untied");
  auto after = [&](const json& one, const std::function<void(Tensors&, json&)>& change) {
    Tensors tensors = tensors_of(one);
    json config = one.at("config");
    change(tensors, config);
    write_folder(config, tensors);
    return error();
  };
  const std::string q = "model.layers.1.self_attn.q_proj.weight";
  EXPECT_THAT(after(tied, [&](Tensors& t, json&) { t.erase(q); }),
              AllOf(HasSubstr("model.safetensors: has no tensor " + q)));
  EXPECT_THAT(after(tied,
                    [&](Tensors& t, json&) {
                      t[q] = zeros({32, 31}, DType::f32);
                    }),
              HasSubstr("tensor " + q + " is [32, 31]; config.json asks for [32, 32]"));
  EXPECT_THAT(after(tied,
                    [](Tensors& t, json&) {
                      t["model.layers.0.mlp.up_proj.weight"] = zeros({8, 32}, DType::f32);
                    }),
              HasSubstr("tensor model.layers.0.mlp.up_proj.weight is [8, 32]"));
  EXPECT_THAT(after(tied,
                    [](Tensors& t, json&) {
                      t["model.layers.0.self_attn.q_proj.bias"] = zeros({32}, DType::f32);
                    }),
              HasSubstr("tensor model.layers.0.self_attn.q_proj.bias has no place in"));
  EXPECT_THAT(after(tied,
                    [](Tensors& t, json&) {
                      t["lm_head.weight"] = zeros({65, 32}, DType::f32);
                    }),
              HasSubstr("lm_head.weight differs from model.embed_tokens.weight"));
  EXPECT_THAT(
      after(untied, [](Tensors& t, json&) { t.erase("lm_head.weight"); }),
      HasSubstr("has no lm_head.weight, and config.json says \"tie_word_embeddings\": false"));
  EXPECT_THAT(after(tied, [](Tensors&, json& c) { c["num_hidden_layers"] = 1 << 30; }),
              HasSubstr("has no tensor model.layers.3.input_layernorm.weight"));
  EXPECT_THAT(after(tied, [](Tensors&, json& c) { c["vocab_size"] = int64_t{1} << 39; }),
              HasSubstr("model.embed_tokens.weight is [65, 32]; config.json asks for"));
}

// Before a byte of the weights is looked at: there is no file of them at all.
TEST_F(LlamaImport, AConfigIsRefusedBeforeTheWeights) {
  write_file(folder / "model.safetensors", "no weights");
  json config = named("llama").at("config");
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  config.erase("rope_parameters");
  write_file(folder / "config.json", config.dump());
  EXPECT_THAT(error(), HasSubstr("config.json: \"rope_scaling.rope_type\" is \"yarn\""));
  config["model_type"] = "qwen3_moe";
  write_file(folder / "config.json", config.dump());
  EXPECT_THAT(error(),
              HasSubstr("config.json: \"model_type\" is \"qwen3_moe\"; folio computes gpt2, "
                        "llama and qwen3 and cannot run this model"));
}

}  // namespace
}  // namespace folio

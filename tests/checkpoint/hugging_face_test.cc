// Reading models of Hugging Face's layout.
#include "checkpoint/hugging_face.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/checkpoint/hugging_face_fixture.h"
#include "tests/data/torch_file/torch_file_writer.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(HuggingFace, WhatIsWrittenComesBackToTheBit) {
  auto loaded = load_hugging_face(path, test_device());
  EXPECT_EQ(logits(*loaded), logits(*model));
  EXPECT_EQ(loaded->config().activation, gelu_tanh_op);
  EXPECT_EQ(logits(*load_hugging_face(folder / "model.safetensors", test_device())),
            logits(*model));
  EXPECT_EQ(logits(*load_hugging_face(path, test_device(), true)), logits(*model));
  TemporaryFolder other;
  auto erf = a_model(true, gelu_erf_op);
  save_hugging_face(other.path(), *erf, nullptr);
  EXPECT_EQ(logits(*load_hugging_face(other.path(), test_device())), logits(*erf));
  EXPECT_NE(logits(*erf), logits(*model));
}

TEST_F(HuggingFace, NamesComeWithoutTheirPrefixToo) {
  rewrite([](Tensors& tensors) {
    Tensors bare;
    for (const auto& [name, array] : tensors) bare[name.substr(12)] = array;
    tensors = bare;
    tensors["h.0.attn.bias"] = zeros({1, 1, T, T}, DType::f32);  // old files hold the mask
    tensors["h.0.attn.masked_bias"] = zeros({}, DType::f32);
  });
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
}

TEST_F(HuggingFace, Bf16WeightsAreWidened) {
  rewrite([](Tensors& tensors) {
    for (auto& [name, array] : tensors)
      array = backend(array)->elementwise.cast(array, DType::bf16);
  });
  auto loaded = load_hugging_face(path, test_device());
  std::map<std::string, std::vector<float>> narrow;
  loaded->parameters([&](const std::string& name, Parameter& p) {
    EXPECT_EQ(p.dtype(), DType::f32);
    narrow[name] = to_vector<float>(p.array());
  });
  model->parameters([&](const std::string& name, Parameter& p) {
    std::vector<float> wide = to_vector<float>(p.array());
    for (size_t i = 0; i < wide.size(); ++i)
      ASSERT_EQ(narrow.at(name)[i], float(bfloat16(wide[i]))) << name;
  });
}

TEST_F(HuggingFace, ShardsAreOneModel) {
  Tensors one, two;
  rewrite([&](Tensors& tensors) {
    for (const auto& [name, array] : tensors) (one.size() < 7 ? one : two)[name] = array;
  });
  nlohmann::json weight_map;
  for (const auto& [name, array] : one) weight_map[name] = "model-00001-of-00002.safetensors";
  for (const auto& [name, array] : two) weight_map[name] = "model-00002-of-00002.safetensors";
  write("model-00001-of-00002.safetensors", one);
  write("model-00002-of-00002.safetensors", two);
  write_file(folder / "model.safetensors.index.json",
             nlohmann::json{{"metadata", {}}, {"weight_map", weight_map}}.dump());
  fs::remove(folder / "model.safetensors");
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
}

TEST_F(HuggingFace, AHeadOfItsOwnMustBeTheEmbedding) {
  rewrite([](Tensors& tensors) { tensors["lm_head.weight"] = tensors["transformer.wte.weight"]; });
  EXPECT_EQ(error(), "");
  rewrite([](Tensors& tensors) { tensors["lm_head.weight"] = zeros({V, C}, DType::f32); });
  EXPECT_THAT(error(), HasSubstr("lm_head.weight differs from wte.weight"));
}

// safetensors.torch.save_model leaves one name of a tied pair, and which one is its own choice.
TEST_F(HuggingFace, TheHeadAloneIsTheEmbeddingToo) {
  rewrite([](Tensors& tensors) {
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"];
    tensors.erase("transformer.wte.weight");
  });
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
  set("tie_word_embeddings", false);
  EXPECT_THAT(error(), HasSubstr("has no tensor transformer.wte.weight"));
}

TEST_F(HuggingFace, AnUntiedHeadMustBeThere) {
  set("tie_word_embeddings", false);
  EXPECT_THAT(error(), AllOf(HasSubstr("has no lm_head.weight"),
                             HasSubstr("\"tie_word_embeddings\": false")));
  rewrite([](Tensors& tensors) { tensors["lm_head.weight"] = tensors["transformer.wte.weight"]; });
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
}

TEST_F(HuggingFace, WrappedNamesAreTheSameParameters) {
  auto rename = [&](const std::function<std::string(std::string)>& to) {
    save_hugging_face(path, *model, nullptr);
    rewrite([&](Tensors& tensors) {
      Tensors wrapped;
      for (const auto& [name, array] : tensors) wrapped[to(name)] = array;
      tensors = wrapped;
    });
  };
  for (const char* prefix : {"module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.",
                             "module.module.", "transformer.module."}) {
    rename([&](const std::string& name) { return prefix + name; });
    EXPECT_EQ(error(), "") << prefix;
    EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model)) << prefix;
    rename([&](const std::string& name) { return prefix + name.substr(12); });
    EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model)) << prefix;
  }
  // Blocks that were compiled one by one.
  rename([](std::string name) {
    size_t at = name.find("h.1.");
    return at == name.npos ? name : name.insert(at + 4, "_orig_mod.");
  });
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
  rewrite([](Tensors& tensors) { tensors["module.wpe.weight"] = zeros({T, C}, DType::f32); });
  EXPECT_THAT(error(), AllOf(HasSubstr("module.wpe.weight"), HasSubstr("are one parameter")));
}

// A safetensors file whose every tensor is F64.
TEST_F(HuggingFace, F64WeightsAreRounded) {
  nlohmann::ordered_json header;
  std::string bytes;
  Safetensors file(folder / "model.safetensors");
  for (const std::string& name : file.names()) {
    std::vector<float> values = to_vector<float>(file.tensor(name));
    std::vector<double> wide(values.begin(), values.end());
    size_t begin = bytes.size();
    bytes.append(reinterpret_cast<const char*>(wide.data()), wide.size() * sizeof(double));
    auto dims = file.shape(name).dims();
    header[name] = {{"dtype", "F64"},
                    {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                    {"data_offsets", {begin, bytes.size()}}};
  }
  std::string json = header.dump();
  write_file(folder / "model.safetensors",
             torch_writer::little_endian(json.size(), 8) + json + bytes);
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
}

TEST_F(HuggingFace, NumbersThatAreNotFiniteAreNamed) {
  for (float bad : {NAN, INFINITY, -INFINITY})
    for (const char* name :
         {"transformer.h.1.mlp.c_fc.weight", "transformer.ln_f.bias", "transformer.wte.weight"}) {
      save_hugging_face(path, *model, nullptr);
      rewrite([&](Tensors& tensors) {
        std::vector<float> values = to_vector<float>(tensors[name]);
        values.back() = bad;
        tensors[name] = to_array(values, tensors[name].shape());
      });
      EXPECT_THAT(error(), AllOf(HasSubstr(name), HasSubstr("holds NaN or infinity")));
    }
}

TEST_F(HuggingFace, WrongTensorsAreNamed) {
  const std::string c_fc = "transformer.h.1.mlp.c_fc.weight";
  rewrite([&](Tensors& tensors) { tensors[c_fc] = zeros({4 * C, C}, DType::f32); });
  EXPECT_THAT(error(), AllOf(HasSubstr("tensor " + c_fc + " is [32, 8]"), HasSubstr("[8, 32]")));
  rewrite([&](Tensors& tensors) { tensors.erase(c_fc); });
  EXPECT_THAT(error(), HasSubstr("has no tensor " + c_fc));
  save_hugging_face(path, *model, nullptr);
  rewrite([](Tensors& tensors) { tensors["transformer.h.0.adapter"] = zeros({1}, DType::f32); });
  EXPECT_THAT(error(), HasSubstr("transformer.h.0.adapter has no place in GPT-2"));
  save_hugging_face(path, *model, nullptr);
  rewrite([](Tensors& tensors) { tensors.erase("transformer.h.0.ln_1.bias"); });
  EXPECT_THAT(error(), HasSubstr("has no tensor transformer.h.0.ln_1.bias"));
}

// Sizes are held to the file before a model of them is made: these would not fit any memory.
TEST_F(HuggingFace, SizesThatTheFileDoesNotHaveAreErrors) {
  size_t before = test_backend()->memory.use().peak;
  for (const char* key : {"vocab_size", "n_positions", "n_layer", "n_embd"}) {
    nlohmann::json saved = config()[key];
    set(key, int64_t(1) << 39);
    EXPECT_NE(error(), "") << key;
    set(key, saved);
  }
  EXPECT_LE(test_backend()->memory.use().peak, before + 1000);
  fs::remove(folder / "model.safetensors");
  EXPECT_THAT(error(),
              HasSubstr("has a config.json but neither model.safetensors nor pytorch_model.bin"));
}

}  // namespace
}  // namespace folio

// Models of Hugging Face's layout, in and out.
#include "checkpoint/hugging_face.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>

#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "checkpoint/quantized_file.h"
#include "commands/export_command.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/safetensors/safetensors.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/command.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/paths.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t C = 8, V = 5, T = 6;

std::unique_ptr<Gpt> a_model(bool bias = true, Unary activation = gelu_tanh_op) {
  auto model = std::make_unique<Gpt>(GptConfig{.block_size = T,
                                               .vocab_size = V,
                                               .n_layer = 2,
                                               .n_head = 2,
                                               .n_embd = C,
                                               .bias = bias,
                                               .activation = activation},
                                     1);
  uint64_t stream = 0;  // biases and norms too
  model->parameters([&](const std::string&, Parameter& p) {
    Array values = p.array();
    backend(values).random_normal(values, 0.1, 0.3, {4, ++stream});
  });
  return model;
}

std::vector<float> logits(Gpt& model) {
  NoGrad no_grad;
  return to_vector<float>(model(to_array(std::vector<int32_t>{1, 4, 0, 2, 3, 3}, {1, T})).array());
}

const CharTokenizer characters(U"abcde");

class HuggingFace : public testing::Test {
 protected:
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
        tensors[tensor] = backend(values).cast(values, values.dtype());
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
    return error_of([&] { load_hugging_face(path); });
  }

  TemporaryFolder folder;
  fs::path path = folder.path();
  std::unique_ptr<Gpt> model = a_model();
};

TEST_F(HuggingFace, WhatIsWrittenComesBackToTheBit) {
  auto loaded = load_hugging_face(path);
  EXPECT_EQ(logits(*loaded), logits(*model));
  EXPECT_EQ(loaded->config().activation, gelu_tanh_op);
  EXPECT_EQ(logits(*load_hugging_face(folder / "model.safetensors")), logits(*model));
  EXPECT_EQ(logits(*load_hugging_face(path, true)), logits(*model));
  TemporaryFolder other;
  auto erf = a_model(true, gelu_erf_op);
  save_hugging_face(other.path(), *erf, nullptr);
  EXPECT_EQ(logits(*load_hugging_face(other.path())), logits(*erf));
  EXPECT_NE(logits(*erf), logits(*model));
}

TEST_F(HuggingFace, ExportAfterImportIsTheSameBytes) {
  TemporaryFolder again;
  OpenedModel opened = open_model(path.string(), "");
  save_hugging_face(again.path(), *opened.model, opened.tokenizer.get());
  int files = 0;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::string name = entry.path().filename();
    EXPECT_EQ(read_file(folder / name), read_file(again / name)) << name;
    ++files;
  }
  EXPECT_EQ(files, 5);
}

// transformers' Conv1D holds [in, out].
TEST_F(HuggingFace, Conv1dWeightsLieTransposed) {
  Safetensors file(folder / "model.safetensors");
  EXPECT_EQ(file.shape("transformer.h.0.attn.c_attn.weight"), (Shape{C, 3 * C}));
  EXPECT_EQ(file.shape("transformer.h.0.mlp.c_proj.weight"), (Shape{4 * C, C}));
  model->parameters([&](const std::string& name, Parameter& p) {
    if (name != "transformer.h.1.mlp.c_fc.weight") return;
    std::vector<float> ours = to_vector<float>(p.array()),
                       theirs = to_vector<float>(file.tensor(name));
    for (size_t in = 0; in < C; ++in)
      for (size_t out = 0; out < 4 * C; ++out)
        ASSERT_EQ(theirs[in * 4 * C + out], ours[out * C + in]);
  });
}

TEST_F(HuggingFace, AModelWithoutBiasesGetsZeros) {
  TemporaryFolder other;
  auto bare = a_model(false);
  save_hugging_face(other.path(), *bare, nullptr);
  auto loaded = load_hugging_face(other.path());
  EXPECT_TRUE(loaded->config().bias);
  EXPECT_EQ(logits(*loaded), logits(*bare));
  EXPECT_EQ(Safetensors(other / "model.safetensors").names(),
            Safetensors(folder / "model.safetensors").names());
}

TEST_F(HuggingFace, NamesComeWithoutTheirPrefixToo) {
  rewrite([](Tensors& tensors) {
    Tensors bare;
    for (const auto& [name, array] : tensors) bare[name.substr(12)] = array;
    tensors = bare;
    tensors["h.0.attn.bias"] = zeros({1, 1, T, T}, DType::f32);  // old files hold the mask
    tensors["h.0.attn.masked_bias"] = zeros({}, DType::f32);
  });
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
}

TEST_F(HuggingFace, Bf16WeightsAreWidened) {
  rewrite([](Tensors& tensors) {
    for (auto& [name, array] : tensors) array = backend(array).cast(array, DType::bf16);
  });
  auto loaded = load_hugging_face(path);
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
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
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
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
  set("tie_word_embeddings", false);
  EXPECT_THAT(error(), HasSubstr("has no tensor transformer.wte.weight"));
}

TEST_F(HuggingFace, AnUntiedHeadMustBeThere) {
  set("tie_word_embeddings", false);
  EXPECT_THAT(error(), AllOf(HasSubstr("has no lm_head.weight"),
                             HasSubstr("\"tie_word_embeddings\": false")));
  rewrite([](Tensors& tensors) { tensors["lm_head.weight"] = tensors["transformer.wte.weight"]; });
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
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
    EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model)) << prefix;
    rename([&](const std::string& name) { return prefix + name.substr(12); });
    EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model)) << prefix;
  }
  // Blocks that were compiled one by one.
  rename([](std::string name) {
    size_t at = name.find("h.1.");
    return at == name.npos ? name : name.insert(at + 4, "_orig_mod.");
  });
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
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
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
}

// pytorch_model.bin, as torch.save(model.state_dict()) writes it.
class PytorchModel : public HuggingFace {
 protected:
  PytorchModel() {
    Safetensors file(folder / "model.safetensors");
    for (const std::string& name : file.names()) add(name, file.tensor(name));
    fs::remove(folder / "model.safetensors");
  }
  void add(const std::string& name, const Array& values) {
    std::string key = std::to_string(storages.size());
    storages.emplace_back(key, torch_writer::bytes_of(to_vector<float>(values)));
    std::vector<int64_t> shape(values.shape().dims().begin(), values.shape().dims().end());
    std::vector<int64_t> stride(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) stride[d - 1] = stride[d] * shape[d];
    tensors.emplace_back(
        name, torch_writer::tensor(
                  {.key = key, .storage_size = values.size(), .shape = shape, .stride = stride}));
  }
  void write(const std::string& name = "pytorch_model.bin") {
    write_file(folder / name, torch_writer::file(torch_writer::dict(tensors), storages));
  }

  torch_writer::Items tensors, storages;
};

TEST_F(PytorchModel, IsReadAsTheSafetensorsAre) {
  tensors.emplace_back("lm_head.weight", tensors.back().second);  // both names of one storage
  EXPECT_EQ(tensors[tensors.size() - 2].first, "transformer.wte.weight");
  add("transformer.h.0.attn.bias", zeros({1, 1, T, T}, DType::f32));
  write();
  EXPECT_EQ(error(), "");
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
  EXPECT_EQ(logits(*open_model(folder / "pytorch_model.bin", "").model), logits(*model));
  write_file(folder / "pytorch_model.bin.index.json", [&] {
    nlohmann::json map;
    for (const auto& [name, tensor] : tensors) map[name] = "pytorch_model-00001-of-00001.bin";
    return nlohmann::json{{"weight_map", map}}.dump();
  }());
  fs::rename(folder / "pytorch_model.bin", folder / "pytorch_model-00001-of-00001.bin");
  EXPECT_EQ(logits(*load_hugging_face(path)), logits(*model));
}

TEST_F(PytorchModel, WrongTensorsAreNamed) {
  add("score.weight", zeros({2, C}, DType::f32));
  write();
  EXPECT_THAT(error(), HasSubstr("tensor score.weight has no place in GPT-2"));
  tensors.back() = {"transformer.h.0.mlp.gate", tensors[0].second};
  write();
  EXPECT_THAT(error(), HasSubstr("transformer.h.0.mlp.gate has no place"));
  // Ten thousand views of one storage would be more than the file.
  const std::string c_fc = "transformer.h.0.mlp.c_fc.weight";
  std::string large = std::ranges::find(tensors, c_fc, [](auto& row) { return row.first; })->second;
  for (int i = 0; i < 10000; ++i) tensors.emplace_back(std::to_string(i), large);
  write();
  EXPECT_THAT(error(), HasSubstr("share their bytes"));
  write_file(folder / "pytorch_model.bin", torch_writer::file(torch_writer::list({}), {}));
  EXPECT_THAT(error(), HasSubstr("should be a state dict, not a list"));
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

TEST_F(HuggingFace, FilesOfTwoExportsAreRefused) {
  TemporaryFolder other;
  CharTokenizer others(U"vwxyz");
  save_hugging_face(other.path(), *a_model(false), &others);
  for (const char* name : {"model.safetensors", "tokenizer_config.json"}) {
    std::string own = read_file(folder / name);
    write_file(folder / name, read_file(other / name));
    EXPECT_THAT(error(), AllOf(HasSubstr(name), HasSubstr("come from two exports"))) << name;
    write_file(folder / name, own);
    EXPECT_EQ(error(), "");
  }
  // What was written by others has no digest.
  rewrite([](Tensors&) {});
  EXPECT_EQ(error(), "");
}

// An export over an older one that cannot put all its files in place leaves no model.
TEST_F(HuggingFace, AnExportThatFailsHalfWayIsNoModel) {
  fs::remove(folder / "generation_config.json");
  fs::create_directories(folder / "generation_config.json/full");
  CharTokenizer others(U"vwxyz");
  EXPECT_THAT(error_of([&] { save_hugging_face(path, *a_model(false), &others); }),
              HasSubstr("generation_config.json: cannot replace it"));
  EXPECT_FALSE(is_hugging_face(path));
  EXPECT_THAT(error_of([&] { open_model(path, ""); }), HasSubstr("holds no model"));
}

// What the older export's tokenizer has and the new one has not; a user's own tokenizer stays.
TEST_F(HuggingFace, AnExportTakesTheOlderTokenizerAway) {
  write_file(folder / "added_tokens.json", "{}");
  save_hugging_face(path, *model, &characters);
  EXPECT_FALSE(fs::exists(folder / "added_tokens.json"));
  save_hugging_face(path, *model, nullptr);
  EXPECT_FALSE(fs::exists(folder / "tokenizer.json"));
  EXPECT_EQ(error(), "");
  save_tokenizer_files(path, characters, T);
  save_hugging_face(path, *model, nullptr);
  EXPECT_TRUE(*open_model(path, "").tokenizer == characters);
}

TEST_F(HuggingFace, AStopLeavesWhatWasThere) {
  std::string before = read_file(folder / "model.safetensors");
  request_stop(SIGINT);
  EXPECT_THROW(save_hugging_face(path, *a_model(false), &characters), Interrupted);
  EXPECT_THROW(save_hugging_face(path / "new", *a_model(false), &characters), Interrupted);
  forget_stop();
  EXPECT_EQ(read_file(folder / "model.safetensors"), before);
  EXPECT_FALSE(fs::exists(path / "new"));
  EXPECT_EQ(error(), "");
}

TEST_F(HuggingFace, ATokenizerWithMoreTokensThanTheModelIsRefused) {
  TemporaryFolder out;
  CharTokenizer more(U"abcdef");
  save_tokenizer_files(path, more, T);
  const char* words = "the tokenizer has 6 tokens, the model 5";
  EXPECT_THAT(error_of([&] { open_model(path, ""); }), HasSubstr(words));
  CheckpointFile file;
  put_parameters(file, *model);
  put_tokenizer(file, more);
  save(out / "ckpt.h5", file);
  EXPECT_THAT(error_of([&] { open_model(out.path(), ""); }), HasSubstr(words));
  file = quantize(*model, WeightFormat::int8);
  put_tokenizer(file, more);
  save(out / "q.h5", file);
  EXPECT_THAT(error_of([&] { open_model(out / "q.h5", "", Purpose::inference); }),
              HasSubstr(words));
}

TEST_F(HuggingFace, RowsBeyondTheTokenizerAreLeftOutWhereAsked) {
  CharTokenizer fewer(U"abc");
  TemporaryFolder whole, trimmed;
  save_hugging_face(whole.path(), *model, &fewer);
  save_hugging_face(trimmed.path(), *model, &fewer, true);
  EXPECT_EQ(open_model(whole.path(), "").model->config().vocab_size, V);
  OpenedModel opened = open_model(trimmed.path(), "");
  EXPECT_EQ(opened.model->config().vocab_size, 3);
  auto first_row = [](Gpt& gpt, size_t count) {
    NoGrad no_grad;
    std::vector<float> row =
        to_vector<float>(gpt(to_array(std::vector<int32_t>{1, 0}, {1, 2})).array());
    row.resize(count);
    return row;
  };
  EXPECT_EQ(first_row(*opened.model, 3), first_row(*model, 3));
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
  size_t before = backend(cpu).memory().peak;
  for (const char* key : {"vocab_size", "n_positions", "n_layer", "n_embd"}) {
    nlohmann::json saved = config()[key];
    set(key, int64_t(1) << 39);
    EXPECT_NE(error(), "") << key;
    set(key, saved);
  }
  EXPECT_LE(backend(cpu).memory().peak, before + 1000);
  fs::remove(folder / "model.safetensors");
  EXPECT_THAT(error(),
              HasSubstr("has a config.json but neither model.safetensors nor pytorch_model.bin"));
}

// A folio checkpoint as a run leaves it.
fs::path save_checkpoint(const TemporaryFolder& out, Gpt& model) {
  CheckpointFile file;
  put_parameters(file, model);
  put_tokenizer(file, characters);
  save(best_checkpoint(out.path()), file);
  return best_checkpoint(out.path());
}

TEST_F(HuggingFace, ExportWritesACheckpointsModelAndTokenizer) {
  TemporaryFolder out, to;
  auto bare = a_model(false, gelu_erf_op);
  save_checkpoint(out, *bare);
  std::string said = output_of(export_command, {"--out_dir=" + out.path(), "--to=" + (to / "x")});
  EXPECT_THAT(said, AllOf(HasSubstr(to / "x"), HasSubstr("and the tokenizer"),
                          HasSubstr("written as zeros"), testing::Not(HasSubstr("rows for"))));
  OpenedModel opened = open_model(to / "x", "");
  EXPECT_EQ(logits(*opened.model), logits(*bare));
  ASSERT_NE(opened.tokenizer, nullptr);
  EXPECT_TRUE(*opened.tokenizer == characters);
  EXPECT_THAT(output_of(export_command, {"--out_dir=" + out.path()}), HasSubstr("--to=DIR"));
}

TEST_F(HuggingFace, ExportSaysHowManyRowsHaveNoToken) {
  TemporaryFolder out, to;
  CheckpointFile file;
  put_parameters(file, *model);
  put_tokenizer(file, CharTokenizer(U"abc"));
  save(best_checkpoint(out.path()), file);
  EXPECT_THAT(output_of(export_command, {"--out_dir=" + out.path(), "--to=" + (to / "x")}),
              HasSubstr("the model has 5 rows for 3 tokens"));
  EXPECT_THAT(output_of(export_command,
                        {"--out_dir=" + out.path(), "--to=" + (to / "x"), "--trim_vocab=true"}),
              HasSubstr("the last 2 are left out"));
  EXPECT_EQ(open_model(to / "x", "").model->config().vocab_size, 3);
}

TEST_F(HuggingFace, OpenModelKnowsEachKindByItsPlace) {
  TemporaryFolder out;
  fs::path checkpoint = save_checkpoint(out, *model);
  for (const std::string& init_from :
       {path.string(), folder / "model.safetensors", checkpoint.string(), out.path()}) {
    OpenedModel opened = open_model(init_from, "");
    EXPECT_EQ(logits(*opened.model), logits(*model)) << init_from;
    EXPECT_TRUE(opened.tokenizer && *opened.tokenizer == characters) << init_from;
    EXPECT_THAT(opened.source, testing::StartsWith(init_from));
  }
  EXPECT_EQ(open_model("resume", out.path()).source, checkpoint.string());
  OpenedModel nanogpt = open_model(source_path("tests/reference/nanogpt.pt"), "");
  EXPECT_EQ(nanogpt.tokenizer, nullptr);
  EXPECT_EQ(std::get<int64_t>(nanogpt.attributes.at("iter_num")), 30);

  auto error = [](const std::string& init_from) {
    return error_of([&] { open_model(init_from, ""); });
  };
  EXPECT_THAT(error(folder / "nowhere"), HasSubstr("no such file or folder"));
  fs::create_directory(folder / "empty");
  EXPECT_THAT(error(folder / "empty"), HasSubstr("holds no model"));
  write_file(folder / "notes.txt", "text");
  EXPECT_THAT(error(folder / "notes.txt"), HasSubstr("not a model that folio can open"));
}

TEST_F(HuggingFace, CheckVocabularyHoldsADatasetToTheModel) {
  auto error = [&](std::u32string dataset, bool with_tokenizer) {
    OpenedModel opened{
        .model = a_model(), .weights = {}, .tokenizer = nullptr, .source = "m", .attributes = {}};
    if (with_tokenizer) opened.tokenizer = std::make_shared<CharTokenizer>(characters);
    Meta meta{std::make_shared<CharTokenizer>(dataset), 1, 1, "a text"};
    return error_of([&] { check_vocabulary(opened, meta); });
  };
  EXPECT_EQ(error(U"abcde", true), "");
  EXPECT_EQ(error(U"vwxyz", false), "");
  EXPECT_THAT(error(U"xyz", false), AllOf(HasSubstr("of 5 tokens"), HasSubstr("of 3")));
  EXPECT_THAT(error(U"abcdf", true), HasSubstr("m: the model has another vocabulary"));
  EXPECT_THAT(error(U"abcdef", false), AllOf(HasSubstr("of 5 tokens"), HasSubstr("of 6")));
}

}  // namespace
}  // namespace folio

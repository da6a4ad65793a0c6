#include "data/hugging_face/gpt2_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/files/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

class Gpt2ConfigFile : public testing::Test {
 protected:
  Gpt2Config load(const Json& json) {
    write_file(path_, json.dump());
    return load_gpt2_config(path_);
  }
  std::string error(const Json& json) {
    return error_of([&] { load(json); });
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "config.json";
};

// transformers.GPT2Config() has these.
TEST_F(Gpt2ConfigFile, WhatIsAbsentOrNullIsTransformersDefault) {
  for (const Json& json : {Json::object(), Json{{"n_embd", nullptr}, {"n_inner", nullptr}}}) {
    Gpt2Config config = load(json);
    EXPECT_EQ(config.vocab_size, 50257);
    EXPECT_EQ(config.n_positions, 1024);
    EXPECT_EQ(config.n_embd, 768);
    EXPECT_EQ(config.n_layer, 12);
    EXPECT_EQ(config.n_head, 12);
    EXPECT_EQ(config.activation, gelu_tanh_op);
  }
}

TEST_F(Gpt2ConfigFile, EveryKeyIsRead) {
  Gpt2Config config = load({{"model_type", "gpt2"},
                            {"vocab_size", 65},
                            {"n_positions", 32},
                            {"n_embd", 48},
                            {"n_layer", 3},
                            {"n_head", 4},
                            {"n_inner", 192},
                            {"layer_norm_epsilon", 1e-5},
                            {"initializer_range", 0.02}});
  EXPECT_EQ(config.vocab_size, 65);
  EXPECT_EQ(config.n_positions, 32);
  EXPECT_EQ(config.n_embd, 48);
  EXPECT_EQ(config.n_layer, 3);
  EXPECT_EQ(config.n_head, 4);
}

// GPT2Config.attribute_map of transformers: either name means the same.
TEST_F(Gpt2ConfigFile, SizesGoByTransformersOtherNames) {
  Gpt2Config config = load({{"max_position_embeddings", 32},
                            {"hidden_size", 48},
                            {"num_hidden_layers", 3},
                            {"num_attention_heads", 4}});
  EXPECT_EQ(config.n_positions, 32);
  EXPECT_EQ(config.n_embd, 48);
  EXPECT_EQ(config.n_layer, 3);
  EXPECT_EQ(config.n_head, 4);
  EXPECT_EQ(load({{"n_head", 4}, {"num_attention_heads", 4}}).n_head, 4);
  EXPECT_EQ(load({{"n_head", 4}, {"num_attention_heads", nullptr}}).n_head, 4);
  EXPECT_THAT(error({{"n_head", 4}, {"num_attention_heads", 6}}),
              AllOf(HasSubstr(path_ + ": \"n_head\" is 4"),
                    HasSubstr("\"num_attention_heads\", which is the same, is 6")));
  EXPECT_THAT(error({{"hidden_size", 0}}), HasSubstr("\"hidden_size\" must be a positive"));
}

TEST_F(Gpt2ConfigFile, AHeadOfItsOwnIsSaid) {
  EXPECT_TRUE(load(Json::object()).tied);
  EXPECT_TRUE(load({{"tie_word_embeddings", true}}).tied);
  EXPECT_FALSE(load({{"tie_word_embeddings", false}}).tied);
  EXPECT_THAT(error({{"tie_word_embeddings", 1}}), HasSubstr("\"tie_word_embeddings\" must be"));
}

TEST_F(Gpt2ConfigFile, AnUnknownKeyIsAnErrorThatNamesTheNearest) {
  EXPECT_THAT(error({{"n_heads", 4}}),
              AllOf(HasSubstr(path_ + ": \"n_heads\" is not a key that folio knows"),
                    HasSubstr("is it \"n_head\"?")));
  EXPECT_THAT(error({{"rotary_dim", 4}}), HasSubstr("\"rotary_dim\" is not a key"));
  EXPECT_EQ(error({{"_name_or_path", "x"}}), "");
}

// transformers 5.24's GPT2Config().to_dict() and, of older ones, the config.json of the gpt2 that
// OpenAI and others published.
TEST_F(Gpt2ConfigFile, WhatTransformersWritesIsKnown) {
  Json json{{"model_type", "gpt2"}};
  for (const char* key : {"_name_or_path",
                          "architectures",
                          "attn_pdrop",
                          "bos_token_id",
                          "chunk_size_feed_forward",
                          "dtype",
                          "embd_pdrop",
                          "eos_token_id",
                          "id2label",
                          "initializer_range",
                          "label2id",
                          "output_attentions",
                          "output_hidden_states",
                          "pad_token_id",
                          "problem_type",
                          "resid_pdrop",
                          "return_dict",
                          "summary_activation",
                          "summary_first_dropout",
                          "summary_proj_to_labels",
                          "summary_type",
                          "summary_use_proj",
                          "transformers_version",
                          "use_cache",
                          "n_ctx",
                          "task_specific_params",
                          "gradient_checkpointing",
                          "torch_dtype",
                          "do_sample",
                          "max_length"})
    json[key] = "x";
  EXPECT_EQ(error(json), "");
}

TEST_F(Gpt2ConfigFile, ActivationsGoByTransformersNames) {
  for (auto [name, op] : {std::pair{"gelu_new", gelu_tanh_op},
                          {"gelu_pytorch_tanh", gelu_tanh_op},
                          {"gelu_fast", gelu_tanh_op},
                          {"gelu", gelu_erf_op},
                          {"relu", unary<Relu>()},
                          {"sigmoid", unary<Sigmoid>()},
                          {"silu", unary<Silu>()},
                          {"swish", unary<Silu>()},
                          {"tanh", unary<Tanh>()},
                          {"relu2", unary<Relu2>()}})
    EXPECT_EQ(load({{"activation_function", name}}).activation, op) << name;
  EXPECT_THAT(
      error({{"activation_function", "relu6"}}),
      AllOf(HasSubstr(path_), HasSubstr("activation_function \"relu6\""), HasSubstr("gelu_new, ")));
  EXPECT_THAT(message_of([] {
                Gpt2Config config;
                config.activation = unary<Exp>();
                config_json(config, {});
              }),
              AllOf(HasSubstr("export: transformers has no name for the model's activation, exp"),
                    HasSubstr("can be exported: gelu_tanh, gelu_erf, relu, ")));
}

TEST_F(Gpt2ConfigFile, AModelThatFolioWouldComputeOtherwiseIsRefused) {
  const Json wrong{{"model_type", "gpt_neo"},
                   {"n_inner", 100},
                   {"layer_norm_epsilon", 1e-6},
                   {"scale_attn_weights", false},
                   {"scale_attn_by_inverse_layer_idx", true},
                   {"reorder_and_upcast_attn", true},
                   {"add_cross_attention", true},
                   {"is_encoder_decoder", true},
                   {"pruned_heads", {{"0", {1}}}},
                   {"quantization_config", {{"bits", 8}}},
                   {"auto_map", {{"AutoModelForCausalLM", "model.py"}}},
                   {"per_layer_config", {{"0", {{"n_head", 2}}}}}};
  for (const auto& [key, value] : wrong.items())
    EXPECT_THAT(error({{key, value}}), AllOf(HasSubstr(path_ + ": \"" + key + "\" is"),
                                             HasSubstr("cannot run this model")))
        << key;
}

TEST_F(Gpt2ConfigFile, SizesArePositiveNumbers) {
  for (const char* key : {"vocab_size", "n_positions", "n_embd", "n_layer", "n_head"})
    for (const Json& value :
         {Json(0), Json(-1), Json(1.5), Json("8"), Json(true), Json(uint64_t(1) << 63)})
      EXPECT_THAT(error({{key, value}}),
                  HasSubstr(std::string("\"") + key + "\" must be a positive"))
          << value;
}

TEST_F(Gpt2ConfigFile, OtherTextIsNoConfig) {
  for (const char* text : {"", "{", "[]", "3", "\xff"}) {
    write_file(path_, text);
    EXPECT_THAT(error_of([&] { load_gpt2_config(path_); }), HasSubstr("config.json: not ")) << text;
  }
}

TEST_F(Gpt2ConfigFile, WhatIsWrittenReadsBack) {
  for (Unary activation : {gelu_tanh_op, gelu_erf_op}) {
    Gpt2Config config{.vocab_size = 65,
                      .n_positions = 32,
                      .n_embd = 48,
                      .n_layer = 3,
                      .n_head = 4,
                      .activation = activation,
                      .tied = true,
                      .digest = {}};
    std::string text = config_json(config, {.ids = {64}});
    Gpt2Config read = load(Json::parse(text));
    EXPECT_EQ(read.vocab_size, 65);
    EXPECT_EQ(read.n_positions, 32);
    EXPECT_EQ(read.n_embd, 48);
    EXPECT_EQ(read.n_layer, 3);
    EXPECT_EQ(read.n_head, 4);
    EXPECT_EQ(read.activation, activation);
    EXPECT_EQ(Json::parse(text).at("eos_token_id"), 64);
    EXPECT_EQ(Json::parse(text).at("architectures").at(0), "GPT2LMHeadModel");
  }
  EXPECT_TRUE(Json::parse(config_json(Gpt2Config{}, {})).at("eos_token_id").is_null());
  EXPECT_EQ(Json::parse(generation_config_json({.ids = {7}})).at("eos_token_id"), 7);
  EXPECT_FALSE(Json::parse(generation_config_json({})).contains("eos_token_id"));
}

}  // namespace
}  // namespace folio

#include "data/hugging_face/llama_config.h"

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

class LlamaConfigFile : public testing::Test {
 protected:
  LlamaConfig load(const Json& json) {
    write_file(path_, json.dump());
    return load_llama_config(path_);
  }
  // `json` with those keys changed.
  static Json with(Json json, const Json& changes) {
    json.update(changes);
    return json;
  }
  std::string error(const Json& json) {
    return error_of([&] { load(json); });
  }

  const Json llama{{"model_type", "llama"}}, qwen3{{"model_type", "qwen3"}};
  const Json scaling{{"rope_type", "llama3"},
                     {"factor", 32.0},
                     {"low_freq_factor", 1.0},
                     {"high_freq_factor", 4.0},
                     {"original_max_position_embeddings", 8192}};
  TemporaryFolder folder_;
  std::string path_ = folder_ / "config.json";
};

// transformers.LlamaConfig() and Qwen3Config() have these.
TEST_F(LlamaConfigFile, WhatIsAbsentOrNullIsTransformersDefault) {
  for (const Json& json :
       {llama, with(llama, {{"head_dim", nullptr}, {"rope_scaling", nullptr}})}) {
    const LlamaConfig config = load(json);
    EXPECT_FALSE(config.norms_qk);
    EXPECT_EQ(config.vocab_size, 32000);
    EXPECT_EQ(config.max_position_embeddings, 2048);
    EXPECT_EQ(config.hidden_size, 4096);
    EXPECT_EQ(config.intermediate_size, 11008);
    EXPECT_EQ(config.num_hidden_layers, 32);
    EXPECT_EQ(config.num_attention_heads, 32);
    EXPECT_EQ(config.num_key_value_heads, 32);
    EXPECT_EQ(config.head_dim, 128);
    EXPECT_EQ(config.rms_norm_eps, 1e-6);
    EXPECT_EQ(config.rope, Rope{.theta = 10000});
    EXPECT_FALSE(config.tied || config.bias);
  }
  const LlamaConfig config = load(qwen3);
  EXPECT_TRUE(config.norms_qk);
  EXPECT_EQ(config.vocab_size, 151936);
  EXPECT_EQ(config.max_position_embeddings, 32768);
  EXPECT_EQ(config.intermediate_size, 22016);
  EXPECT_EQ(config.num_key_value_heads, 32);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.sliding_window, 0);
  const Json few{{"num_attention_heads", 8}, {"num_key_value_heads", nullptr}};
  EXPECT_EQ(load(with(qwen3, few)).num_key_value_heads, 8);
}

TEST_F(LlamaConfigFile, EverySpellingIsRead) {
  const Json sizes{{"vocab_size", 49152},         {"max_position_embeddings", 8192},
                   {"hidden_size", 576},          {"intermediate_size", 1536},
                   {"num_hidden_layers", 30},     {"num_attention_heads", 9},
                   {"num_key_value_heads", 3},    {"rms_norm_eps", 1e-5},
                   {"tie_word_embeddings", true}, {"eos_token_id", {128001, 128008, 128009}},
                   {"is_llama_config", true},     {"rope_interleaved", false},
                   {"pretraining_tp", 1},         {"transformers.js_config", {{"dtype", "q4"}}}};
  const Json base = with(llama, sizes);
  Json typed = scaling, both = scaling, with_theta = scaling;
  typed["type"] = "llama3", typed.erase("rope_type");
  both["type"] = "llama3";
  with_theta["rope_theta"] = 500000.0;
  for (const Json& rope : {Json{{"rope_theta", 500000.0}, {"rope_scaling", scaling}},
                           Json{{"rope_theta", 500000}, {"rope_scaling", typed}},
                           Json{{"rope_theta", 500000.0}, {"rope_scaling", both}},
                           Json{{"rope_parameters", with_theta}},
                           Json{{"rope_theta", 500000.0},
                                {"rope_scaling", scaling},
                                {"rope_parameters", with_theta}}}) {
    SCOPED_TRACE(rope.dump());
    const LlamaConfig config = load(with(base, rope));
    EXPECT_EQ(config.rope, (Rope{500000, 32, 1, 4, 8192}));
    EXPECT_EQ(config.num_hidden_layers, 30);
    EXPECT_EQ(config.num_key_value_heads, 3);
    EXPECT_EQ(config.head_dim, 64);
    EXPECT_EQ(config.rms_norm_eps, 1e-5);
    EXPECT_TRUE(config.tied);
  }
  const Json plain{{"rope_type", "default"}, {"rope_theta", 1e6}};
  for (const Json& rope : {Json{{"rope_theta", 1e6}, {"rope_scaling", nullptr}},
                           Json{{"rope_theta", 1e6}, {"rope_scaling", {{"type", "default"}}}},
                           Json{{"rope_parameters", plain}}})
    EXPECT_EQ(load(with(qwen3, rope)).rope, Rope{.theta = 1e6}) << rope;
  EXPECT_TRUE(load(with(llama, {{"attention_bias", true}, {"mlp_bias", true}})).bias);
}

TEST_F(LlamaConfigFile, AWindowIsOfEveryLayerOrOfNone) {
  const Json slides{{"num_hidden_layers", 2}, {"use_sliding_window", true}, {"sliding_window", 40}};
  const Json base = with(qwen3, slides);
  const std::string full = "full_attention", sliding = "sliding_attention";
  EXPECT_EQ(load(base).sliding_window, 0) << "max_window_layers is 28: the first 28 see all";
  EXPECT_EQ(load(with(base, {{"max_window_layers", 2}})).sliding_window, 0);
  EXPECT_EQ(load(with(base, {{"max_window_layers", 0}})).sliding_window, 40);
  EXPECT_EQ(load(with(base, {{"layer_types", {sliding, sliding}}})).sliding_window, 40);
  EXPECT_EQ(load(with(base, {{"layer_types", {full, full}}})).sliding_window, 0);
  EXPECT_EQ(
      load(with(base, {{"max_window_layers", 0}, {"use_sliding_window", false}})).sliding_window,
      0);
  EXPECT_THAT(
      error(with(base, {{"max_window_layers", 1}})),
      HasSubstr("config.json: \"max_window_layers\" is 1; the first 1 of 2 layers see all"));
  EXPECT_THAT(
      error(with(base, {{"layer_types", {full, sliding}}})),
      AllOf(HasSubstr("\"layer_types\" is [\"full_attention\",\"sliding_attention\"]; folio "
                      "has layers of one kind and cannot run this model")));
  EXPECT_THAT(error(with(base, {{"layer_types", {full}}})),
              HasSubstr("\"layer_types\" is [\"full_attention\"]; folio reads a list of 2"));
  EXPECT_THAT(error(with(base, {{"layer_types", {"chunked_attention", full}}})),
              HasSubstr("\"layer_types\" is "));
  EXPECT_THAT(error(with(base, {{"layer_types", "full_attention"}})), HasSubstr("\"layer_types\""));
  EXPECT_THAT(
      error(with(base, {{"layer_types", {sliding, sliding}}, {"use_sliding_window", false}})),
      HasSubstr("no \"sliding_window\" in use"));
}

TEST_F(LlamaConfigFile, WhatFolioLacksIsRefusedByName) {
  auto rope = [](const Json& json) { return Json{{"rope_scaling", json}}; };
  Json lacking = scaling, narrow = scaling, small = scaling;
  lacking.erase("factor");
  narrow["high_freq_factor"] = 1.0;
  small["factor"] = 0.5;
  const std::pair<Json, std::string> cases[] = {
      {rope({{"type", "linear"}, {"factor", 2.0}}),
       "\"rope_scaling.type\" is \"linear\"; folio has"},
      {rope({{"rope_type", "yarn"}, {"factor", 4.0}}), "\"rope_scaling.rope_type\" is \"yarn\""},
      {rope({{"rope_type", "default"}, {"type", "linear"}}), "\"rope_scaling.type\" is \"linear\""},
      {rope(lacking), "the rope type llama3 needs a \"factor\""},
      {rope(narrow), "\"rope_scaling.high_freq_factor\" is 1.0"},
      {rope(small), "\"rope_scaling.factor\" is 0.5"},
      {rope({{"rope_type", 3}}), "\"rope_scaling.rope_type\" must be a text, got 3"},
      {rope("linear"), "\"rope_scaling\" must be an object, got \"linear\""},
      {{{"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}}},
       "\"rope_parameters\": \"full_attention\" is not a key that folio knows"},
      {{{"rope_theta", 1e4}, {"rope_parameters", {{"rope_theta", 1e6}}}},
       "\"rope_parameters.rope_theta\" is 1000000.0; folio asks which holds"},
      {{{"rope_scaling", scaling}, {"rope_parameters", {{"rope_type", "default"}}}},
       "\"rope_parameters\" is "},
      {{{"rope_theta", 0}}, "\"rope_theta\" is 0"},
      {{{"rope_theta", "10000"}}, "\"rope_theta\" must be a number, got \"10000\""},
      {{{"partial_rotary_factor", 0.5}}, "\"partial_rotary_factor\" is 0.5"},
      {{{"rope_interleaved", true}}, "\"rope_interleaved\" is true"},
      {{{"hidden_act", "gelu"}}, "\"hidden_act\" is \"gelu\"; folio computes Llama with \"silu\""},
      {{{"attention_bias", true}}, "\"attention_bias\" is true; folio has biases in all"},
      {{{"mlp_bias", true}}, "\"mlp_bias\" is true; folio has biases in all"},
      {{{"num_local_experts", 8}}, "\"num_local_experts\" is 8"},
      {{{"sliding_window", 4096}}, "\"sliding_window\" is 4096"},
      {{{"quantization_config", {{"bits", 4}}}}, "\"quantization_config\" is {\"bits\":4}"},
      {{{"num_key_value_heads", 5}}, "\"num_key_value_heads\" is 5; it does not divide"},
      {{{"num_attention_heads", 7}},
       "\"num_attention_heads\" is 7; it does not divide hidden_size"},
      {{{"head_dim", 5}}, "\"head_dim\" is 5; heads have 5 elements"},
      {{{"head_dim", 1 << 30}, {"num_attention_heads", 1 << 30}}, "cannot be"},
      {{{"hidden_size", -4}}, "\"hidden_size\" must be a positive size, got -4"},
      {{{"rms_norm_eps", -1e-6}}, "\"rms_norm_eps\" is -1e-06"},
      {{{"logit_scale", 2}}, "\"logit_scale\" is not a key that folio knows"}};
  for (const auto& [change, wanted] : cases)
    EXPECT_THAT(error(with(llama, change)), AllOf(HasSubstr(path_), HasSubstr(wanted))) << change;
  EXPECT_THAT(error(with(qwen3, {{"attention_bias", true}})),
              HasSubstr("\"attention_bias\" is true; folio computes Qwen3 with false"));
  EXPECT_THAT(error({{"model_type", "mistral"}}), HasSubstr("\"model_type\" is \"mistral\""));
  for (const char* text : {"", "[]", "7", "{\"model_type\": \"llama\""}) {
    write_file(path_, text);
    EXPECT_THAT(error_of([&] { load_llama_config(path_); }), HasSubstr("config.json: ")) << text;
  }
}

TEST_F(LlamaConfigFile, WhatIsWrittenComesBack) {
  LlamaConfig config = load(with(qwen3, {{"num_hidden_layers", 3}}));
  config.rope = {1e6, 8, 1.5, 5, 64};
  config.sliding_window = 7;
  config.head_dim = 20;
  const EndTokens ends{.ids = {5, 6}, .is_list = true};
  write_file(path_, config_json(config, ends, "abc"));
  const LlamaConfig back = load_llama_config(path_);
  EXPECT_EQ(back.rope, config.rope);
  EXPECT_EQ(back.sliding_window, 7);
  EXPECT_EQ(back.head_dim, 20);
  EXPECT_EQ(Json::parse(read_file(path_)).at("eos_token_id"), Json({5, 6}));
  EXPECT_EQ(back.digest, "abc");
  EXPECT_TRUE(back.norms_qk);
}

}  // namespace
}  // namespace folio

#include "data/hugging_face/gpt2_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/hugging_face/config_reader.h"
#include "data/text/json_keys.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

struct NamedActivation {
  std::string_view name;
  Unary op;
};
// Names in transformers' ACT2FN; the first of an op's is the one that is written.
constexpr NamedActivation activations[] = {
    {"gelu_new", gelu_tanh_op},  {"gelu_pytorch_tanh", gelu_tanh_op},
    {"gelu_fast", gelu_tanh_op}, {"gelu", gelu_erf_op},
    {"relu", unary<Relu>()},     {"sigmoid", unary<Sigmoid>()},
    {"silu", unary<Silu>()},     {"swish", unary<Silu>()},
    {"tanh", unary<Tanh>()},     {"relu2", unary<Relu2>()}};

// transformers' GPT2Config.attribute_map, the other way round.
constexpr std::pair<std::string_view, std::string_view> aliases[] = {
    {"n_embd", "hidden_size"},
    {"n_positions", "max_position_embeddings"},
    {"n_head", "num_attention_heads"},
    {"n_layer", "num_hidden_layers"}};

// What a config of GPT-2's may have beside the keys that every config may have.
constexpr std::string_view known_keys[] = {
    // what load_gpt2_config asks for
    "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "hidden_size",
    "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "activation_function",
    "model_type", "n_inner", "layer_norm_epsilon", "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention",
    "tie_word_embeddings", "is_encoder_decoder", "pruned_heads", "quantization_config", "auto_map",
    "per_layer_config", "folio_digest",
    // of training; n_ctx is n_positions again and read by nobody
    "resid_pdrop", "embd_pdrop", "attn_pdrop", "n_ctx"};

Unary activation_of(const ConfigReader& read) {
  const Json* name = read.find("activation_function");
  if (!name) return gelu_tanh_op;
  for (const auto& [known, op] : activations)
    if (*name == known) return op;
  std::vector<std::string_view> names;
  for (const auto& [known, op] : activations) names.push_back(known);
  fail("{}: activation_function {} is not one that folio has: {}", read.path(), shown(*name),
       fmt::join(names, ", "));
}

std::string text_of(const Json& json) { return json.dump(2) + "\n"; }

}  // namespace

Gpt2Config load_gpt2_config(const std::string& path) {
  const ConfigReader read(path, "GPT-2", aliases);
  read.require("model_type", "gpt2");
  Gpt2Config defaults;
  Gpt2Config config{.vocab_size = read.size("vocab_size", defaults.vocab_size),
                    .n_positions = read.size("n_positions", defaults.n_positions),
                    .n_embd = read.size("n_embd", defaults.n_embd),
                    .n_layer = read.size("n_layer", defaults.n_layer),
                    .n_head = read.size("n_head", defaults.n_head),
                    .activation = activation_of(read),
                    .tied = read.truth("tie_word_embeddings", true),
                    .digest = read.text("folio_digest")};
  read.require("n_inner", 4 * config.n_embd);
  read.require("layer_norm_epsilon", 1e-5);
  read.require("scale_attn_weights", true);
  read.require("scale_attn_by_inverse_layer_idx", false);
  read.require("reorder_and_upcast_attn", false);
  read.require("add_cross_attention", false);
  read.require("is_encoder_decoder", false);
  for (const char* key : {"pruned_heads", "quantization_config", "auto_map", "per_layer_config"})
    read.require_none(key);
  read.check_all_known(known_keys);
  return config;
}

std::string config_json(const Gpt2Config& config, const EndTokens& ends,
                        const std::string& digest) {
  std::string_view activation;
  for (const auto& [name, op] : activations)
    if (op == config.activation && activation.empty()) activation = name;
  std::vector<Unary> known;
  for (const auto& [name, op] : activations)
    if (std::ranges::find(known, op) == known.end()) known.push_back(op);
  check(!activation.empty(),
        "export: transformers has no name for the model's activation, {}; those of a GPT-2 that "
        "can be exported: {}",
        config.activation, fmt::join(known, ", "));
  const Json end = to_json(ends);
  Json json{{"architectures", {"GPT2LMHeadModel"}},
            {"model_type", "gpt2"},
            {"activation_function", activation},
            {"n_embd", config.n_embd},
            {"n_layer", config.n_layer},
            {"n_head", config.n_head},
            {"n_positions", config.n_positions},
            {"n_ctx", config.n_positions},
            {"vocab_size", config.vocab_size},
            {"layer_norm_epsilon", 1e-5},
            {"bos_token_id", end.is_array() ? Json() : end},
            {"eos_token_id", end},
            {"tie_word_embeddings", true},
            {"torch_dtype", "float32"}};
  if (!digest.empty()) json["folio_digest"] = digest;
  return text_of(json);
}

std::string generation_config_json(const EndTokens& ends) {
  Json json{{"_from_model_config", true}};
  const Json end = to_json(ends);
  if (end.is_number()) json["bos_token_id"] = end;
  if (!end.is_null()) json["eos_token_id"] = end;
  return text_of(json);
}

}  // namespace folio

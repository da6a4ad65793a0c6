#include "data/hugging_face/gpt2_config.h"

#include <array>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/files.h"
#include "data/parse_json.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

struct NamedActivation {
  std::string_view name;
  Unary op;
};
// The first of an op's names is the one that is written.
constexpr std::array activations{
    NamedActivation{"gelu_new", gelu_tanh_op}, NamedActivation{"gelu_pytorch_tanh", gelu_tanh_op},
    NamedActivation{"gelu_fast", gelu_tanh_op}, NamedActivation{"gelu", gelu_erf_op}};

// One config.json, key by key; a key that is absent or null has transformers' default.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {
    json_ = parse_json<Json>(read_file(path), path);
    check(json_.is_object(), "{}: not a JSON object, so no config of a model", path);
  }

  const Json* find(const char* key) const {
    auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  int64_t size(const char* key, int64_t otherwise) const {
    const Json* value = find(key);
    if (!value) return otherwise;
    check(value->is_number_unsigned() && *value > 0 && *value <= int64_t{1} << 40,
          "{}: \"{}\" must be a positive size, got {}", path_, key, shown(*value));
    return value->get<int64_t>();
  }

  // Refuses a model in which `key` has another value than the one that folio computes with.
  void require(const char* key, const Json& value) const {
    const Json* found = find(key);
    check(!found || *found == value,
          "{}: \"{}\" is {}; folio computes GPT-2 with {} and cannot run this model", path_, key,
          found ? shown(*found) : "", value.dump());
  }

  Unary activation() const {
    const Json* name = find("activation_function");
    if (!name) return gelu_tanh_op;
    for (const auto& [known, op] : activations)
      if (*name == known) return op;
    fail("{}: activation_function {} is not one that folio has: gelu_new (tanh) or gelu (erf)",
         path_, shown(*name));
  }

 private:
  static std::string shown(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
  }

  const std::string& path_;
  Json json_;
};

std::string text_of(const Json& json) { return json.dump(2) + "\n"; }

}  // namespace

Gpt2Config load_gpt2_config(const std::string& path) {
  Reader read(path);
  read.require("model_type", "gpt2");
  Gpt2Config defaults;
  Gpt2Config config{.vocab_size = read.size("vocab_size", defaults.vocab_size),
                    .n_positions = read.size("n_positions", defaults.n_positions),
                    .n_embd = read.size("n_embd", defaults.n_embd),
                    .n_layer = read.size("n_layer", defaults.n_layer),
                    .n_head = read.size("n_head", defaults.n_head),
                    .activation = read.activation()};
  read.require("n_inner", 4 * config.n_embd);
  read.require("layer_norm_epsilon", 1e-5);
  read.require("scale_attn_weights", true);
  read.require("scale_attn_by_inverse_layer_idx", false);
  read.require("reorder_and_upcast_attn", false);
  read.require("add_cross_attention", false);
  return config;
}

std::string config_json(const Gpt2Config& config, int64_t end_token) {
  std::string_view activation;
  for (const auto& [name, op] : activations)
    if (op == config.activation && activation.empty()) activation = name;
  Json end = end_token < 0 ? Json() : Json(end_token);
  return text_of({{"architectures", {"GPT2LMHeadModel"}},
                  {"model_type", "gpt2"},
                  {"activation_function", activation},
                  {"n_embd", config.n_embd},
                  {"n_layer", config.n_layer},
                  {"n_head", config.n_head},
                  {"n_positions", config.n_positions},
                  {"n_ctx", config.n_positions},
                  {"vocab_size", config.vocab_size},
                  {"layer_norm_epsilon", 1e-5},
                  {"bos_token_id", end},
                  {"eos_token_id", end},
                  {"tie_word_embeddings", true},
                  {"torch_dtype", "float32"}});
}

std::string generation_config_json(int64_t end_token) {
  Json json{{"_from_model_config", true}};
  if (end_token >= 0) json["bos_token_id"] = json["eos_token_id"] = end_token;
  return text_of(json);
}

}  // namespace folio

#include "data/hugging_face/llama_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/hugging_face/config_reader.h"
#include "data/text/json_keys.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

// What a config may have beside the keys that every config may have.
constexpr std::string_view known_keys[] = {
    // what load_llama_config asks for
    "model_type", "vocab_size", "max_position_embeddings", "hidden_size", "intermediate_size",
    "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "rms_norm_eps",
    "hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings", "rope_theta", "rope_scaling",
    "rope_parameters", "rope_interleaved", "partial_rotary_factor", "use_sliding_window",
    "sliding_window", "max_window_layers", "layer_types", "num_experts", "num_local_experts",
    "is_encoder_decoder", "add_cross_attention", "pruned_heads", "quantization_config", "auto_map",
    "per_layer_config", "folio_digest",
    // of training; how products are cut up; what tools leave
    "attention_dropout", "pretraining_tp", "is_llama_config", "max_sequence_length",
    "unsloth_fixed", "unsloth_version"};

constexpr std::string_view rope_keys[] = {"rope_type",
                                          "type",
                                          "rope_theta",
                                          "factor",
                                          "partial_rotary_factor",
                                          "low_freq_factor",
                                          "high_freq_factor",
                                          "original_max_position_embeddings"};

// rope_scaling of transformers 4, which has no theta, or rope_parameters of 5.
Rope rope_of(const ConfigReader& read, double theta, bool has_theta) {
  Rope rope{.theta = read.number("rope_theta", theta)};
  if (has_theta && rope.theta != theta)
    read.refuse("rope_theta",
                fmt::format("folio asks which holds, for the file's own is {}", theta));
  read.check_all_known(rope_keys);
  read.require("partial_rotary_factor", 1.0);
  const bool is_old = !read.find("rope_type");
  const std::string type = read.text(is_old ? "type" : "rope_type", "default");
  if (!is_old) read.require("type", type);
  if (type == "default") return rope;
  if (type != "llama3")
    read.refuse(is_old ? "type" : "rope_type", "folio has the rope types default and llama3");
  for (const char* key :
       {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
    check(read.find(key), "{}: the rope type llama3 needs a \"{}\", which is absent", read.path(),
          key);
  rope.factor = read.number("factor", 1);
  rope.low_freq_factor = read.number("low_freq_factor", 1);
  rope.high_freq_factor = read.number("high_freq_factor", 4);
  rope.original_context = read.size("original_max_position_embeddings", 8192);
  if (rope.factor < 1) read.refuse("factor", "folio has factors of 1 and more");
  if (rope.low_freq_factor <= 0) read.refuse("low_freq_factor", "folio needs one above 0");
  if (rope.high_freq_factor <= rope.low_freq_factor)
    read.refuse("high_freq_factor", "folio needs one above low_freq_factor");
  return rope;
}

Rope rope_of(const ConfigReader& read) {
  Rope rope{.theta = read.number("rope_theta", 10000)};
  const bool has_theta = read.find("rope_theta");
  const auto scaling = read.object("rope_scaling"), parameters = read.object("rope_parameters");
  if (scaling) rope = rope_of(*scaling, rope.theta, has_theta);
  if (parameters) {
    const Rope other = rope_of(*parameters, rope.theta, has_theta);
    if (scaling && other != rope)
      read.refuse("rope_parameters", "folio asks which holds, for \"rope_scaling\" differs");
    rope = other;
  }
  if (rope.theta <= 0) {
    const bool inside = parameters && parameters->find("rope_theta");
    (inside ? *parameters : read).refuse("rope_theta", "folio needs one above 0");
  }
  return rope;
}

// Positions that a token sees, in every layer; 0: all. Refuses layers of several kinds.
int64_t window_of(const ConfigReader& read, int64_t layers) {
  const bool slides = read.truth("use_sliding_window", false) && !read.is_null("sliding_window");
  const int64_t window = slides ? read.size("sliding_window", 4096) : 0;
  const int64_t first = std::min(layers, read.size("max_window_layers", 28, 0));
  const Json* types = read.find("layer_types");
  if (!types) {
    if (!slides || first == layers) return 0;
    if (first > 0)
      read.refuse(read.find("max_window_layers") ? "max_window_layers" : "use_sliding_window",
                  fmt::format("the first {} of {} layers see all and the others a window; folio "
                              "has layers of one kind",
                              first, layers));
    return window;
  }
  const auto wrong = [](const Json& type) {
    return type != "full_attention" && type != "sliding_attention";
  };
  if (!types->is_array() || std::ranges::any_of(*types, wrong) || std::ssize(*types) != layers)
    read.refuse("layer_types", fmt::format("folio reads a list of {} \"full_attention\" or "
                                           "\"sliding_attention\", one a layer",
                                           layers));
  if (std::ranges::count(*types, types->at(0)) != layers)
    read.refuse("layer_types", "folio has layers of one kind");
  if (types->at(0) == "full_attention") return 0;
  if (!slides)
    read.refuse("layer_types", "the file has no \"sliding_window\" in use; folio needs one");
  return window;
}

void check_heads(const ConfigReader& read, const LlamaConfig& config, bool has_width) {
  check(double(config.num_attention_heads) * double(config.head_dim) < 0x1p50,
        "{}: {} heads of {} (\"num_attention_heads\", \"head_dim\") cannot be", read.path(),
        config.num_attention_heads, config.head_dim);
  if (!has_width && config.hidden_size % config.num_attention_heads != 0)
    read.refuse("num_attention_heads",
                fmt::format("it does not divide hidden_size, {}; folio needs a head_dim then",
                            config.hidden_size));
  if (config.num_attention_heads % config.num_key_value_heads != 0)
    read.refuse("num_key_value_heads",
                fmt::format("it does not divide num_attention_heads, {}; folio shares each of "
                            "them alike",
                            config.num_attention_heads));
  if (config.head_dim % 2 != 0)
    read.refuse("head_dim",
                fmt::format("heads have {} elements; folio turns pairs of them", config.head_dim));
}

// What is refused because folio computes one thing alone.
void check_computed(const ConfigReader& read, bool is_qwen3) {
  if (const Json* act = read.find("hidden_act"); act && *act != "swish")
    read.require("hidden_act", "silu");
  read.require("rope_interleaved", false);
  read.require("partial_rotary_factor", 1.0);
  read.require("is_encoder_decoder", false);
  read.require("add_cross_attention", false);
  if (is_qwen3) {
    read.require("attention_bias", false);
    read.require("mlp_bias", false);
  } else {
    const bool attention = read.truth("attention_bias", false), mlp = read.truth("mlp_bias", false);
    if (attention != mlp)
      read.refuse(attention ? "attention_bias" : "mlp_bias",
                  "folio has biases in all matrices or in none");
    read.require("use_sliding_window", false);
    read.require_none("sliding_window");
  }
  for (const char* key : {"num_experts", "num_local_experts", "pruned_heads", "quantization_config",
                          "auto_map", "per_layer_config"})
    read.require_none(key);
}

// transformers' LlamaConfig() and Qwen3Config().
constexpr int64_t no_width = 0;
LlamaConfig defaults(bool is_qwen3) {
  LlamaConfig config{.norms_qk = is_qwen3,
                     .vocab_size = is_qwen3 ? 151936 : 32000,
                     .max_position_embeddings = is_qwen3 ? 32768 : 2048,
                     .hidden_size = 4096,
                     .intermediate_size = is_qwen3 ? 22016 : 11008,
                     .num_hidden_layers = 32,
                     .num_attention_heads = 32};
  config.head_dim = is_qwen3 ? 128 : no_width;
  config.rms_norm_eps = 1e-6;
  return config;
}

// rope_parameters or, without a theta, rope_scaling.
Json rope_json(const Rope& rope) {
  if (rope.factor == 1) return {{"rope_type", "default"}};
  return {{"rope_type", "llama3"},
          {"factor", rope.factor},
          {"low_freq_factor", rope.low_freq_factor},
          {"high_freq_factor", rope.high_freq_factor},
          {"original_max_position_embeddings", rope.original_context}};
}

}  // namespace

LlamaConfig load_llama_config(const std::string& path) {
  const std::string type = ConfigReader(path, "").text("model_type");
  check(type == "llama" || type == "qwen3",
        "{}: \"model_type\" is \"{}\", not \"llama\" or \"qwen3\"", path, type);
  const bool is_qwen3 = type == "qwen3";
  const ConfigReader read(path, is_qwen3 ? "Qwen3" : "Llama");
  read.check_all_known(known_keys);
  check_computed(read, is_qwen3);
  LlamaConfig config = defaults(is_qwen3);
  for (auto [key, size] : {std::pair{"vocab_size", &config.vocab_size},
                           {"max_position_embeddings", &config.max_position_embeddings},
                           {"hidden_size", &config.hidden_size},
                           {"intermediate_size", &config.intermediate_size},
                           {"num_hidden_layers", &config.num_hidden_layers},
                           {"num_attention_heads", &config.num_attention_heads},
                           {"head_dim", &config.head_dim}})
    *size = read.size(key, *size);
  const bool shares = is_qwen3 && !read.is_null("num_key_value_heads");
  config.num_key_value_heads =
      read.size("num_key_value_heads", shares ? 32 : config.num_attention_heads);
  const bool has_width = config.head_dim != no_width;
  if (!has_width) config.head_dim = config.hidden_size / config.num_attention_heads;
  check_heads(read, config, has_width);
  config.rms_norm_eps = read.number("rms_norm_eps", config.rms_norm_eps);
  if (config.rms_norm_eps < 0) read.refuse("rms_norm_eps", "folio needs one of 0 or more");
  config.rope = rope_of(read);
  config.bias = read.truth("mlp_bias", false);
  config.sliding_window = window_of(read, config.num_hidden_layers);
  config.tied = read.truth("tie_word_embeddings", false);
  config.digest = read.text("folio_digest");
  return config;
}

std::string config_json(const LlamaConfig& config, const EndTokens& ends,
                        const std::string& digest) {
  const Json end = to_json(ends);
  Json rope = rope_json(config.rope);
  Json json{{"architectures", {config.norms_qk ? "Qwen3ForCausalLM" : "LlamaForCausalLM"}},
            {"model_type", config.norms_qk ? "qwen3" : "llama"},
            {"hidden_act", "silu"},
            {"hidden_size", config.hidden_size},
            {"intermediate_size", config.intermediate_size},
            {"num_hidden_layers", config.num_hidden_layers},
            {"num_attention_heads", config.num_attention_heads},
            {"num_key_value_heads", config.num_key_value_heads},
            {"head_dim", config.head_dim},
            {"max_position_embeddings", config.max_position_embeddings},
            {"vocab_size", config.vocab_size},
            {"rms_norm_eps", config.rms_norm_eps},
            {"rope_theta", config.rope.theta},
            {"attention_bias", config.bias},
            {"bos_token_id", end.is_array() ? Json() : end},
            {"eos_token_id", end},
            {"tie_word_embeddings", config.tied},
            {"torch_dtype", "float32"}};
  // transformers 4 reads rope_theta and rope_scaling, 5 rope_parameters.
  if (config.rope.factor != 1) json["rope_scaling"] = rope;
  rope["rope_theta"] = config.rope.theta;
  json["rope_parameters"] = rope;
  if (config.norms_qk) {
    // layer_types is what both read; transformers before 4.53 has max_window_layers alone, the
    // number of layers without a window.
    const bool slides = config.sliding_window > 0;
    json["use_sliding_window"] = slides;
    json["sliding_window"] = slides ? Json(config.sliding_window) : Json();
    json["max_window_layers"] = slides ? 0 : config.num_hidden_layers;
    json["layer_types"] = std::vector<std::string>(size_t(config.num_hidden_layers),
                                                   slides ? "sliding_attention" : "full_attention");
  } else {
    json["mlp_bias"] = config.bias;
  }
  if (!digest.empty()) json["folio_digest"] = digest;
  return json.dump(2) + "\n";
}

}  // namespace folio

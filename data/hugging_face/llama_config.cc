#include "data/hugging_face/llama_config.h"

#include <nlohmann/json.hpp>

namespace folio {

using Json = nlohmann::ordered_json;

std::string config_json(const LlamaConfig& config, int64_t end_token, const std::string& digest) {
  const Json end = end_token < 0 ? Json() : Json(end_token);
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
            // transformers 4 reads the first, 5 the second
            {"rope_theta", config.rope_theta},
            {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", config.rope_theta}}},
            {"attention_bias", config.bias},
            {"bos_token_id", end},
            {"eos_token_id", end},
            {"tie_word_embeddings", config.tied},
            {"torch_dtype", "float32"}};
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

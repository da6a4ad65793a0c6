#include "data/hugging_face/gpt2_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/files/files.h"
#include "data/text/json_keys.h"
#include "data/text/parse_json.h"

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

// Every key that a config of GPT-2's may have.
constexpr std::string_view known_keys[] = {
    // what load_gpt2_config asks for
    "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "hidden_size",
    "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "activation_function",
    "model_type", "n_inner", "layer_norm_epsilon", "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention",
    "tie_word_embeddings", "is_encoder_decoder", "pruned_heads", "quantization_config", "auto_map",
    "per_layer_config", "folio_digest",
    // of training, or of heads that folio does not have
    "resid_pdrop", "embd_pdrop", "attn_pdrop", "initializer_range", "gradient_checkpointing",
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels",
    "summary_first_dropout", "id2label", "label2id", "num_labels", "problem_type",
    "finetuning_task", "task_specific_params", "loss_type",
    // what is stored or returned, and how; n_ctx is n_positions again and read by nobody
    "architectures", "n_ctx", "n_special", "predict_special_tokens", "output_past", "use_cache",
    "torch_dtype", "dtype", "transformers_version", "transformers.js_config", "name_or_path",
    "tokenizer_class", "return_dict", "use_return_dict", "output_attentions",
    "output_hidden_states", "tie_last_hidden_states", "torchscript", "use_bfloat16", "xla_device",
    "chunk_size_feed_forward", "attn_implementation", "experts_implementation", "tf_legacy_loss",
    "is_decoder", "tie_encoder_decoder", "cross_attention_hidden_size", "is_composition",
    "keys_to_ignore_at_inference",
    // defaults of transformers' generate(), where folio has options of its own
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "unk_token_id",
    "decoder_start_token_id", "prefix", "assistant_confidence_threshold", "assistant_lookbehind",
    "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
    "encoder_no_repeat_ngram_size", "encoder_repetition_penalty", "epsilon_cutoff", "eta_cutoff",
    "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id",
    "length_penalty", "max_length", "max_new_tokens", "min_length", "no_repeat_ngram_size",
    "num_assistant_tokens", "num_assistant_tokens_schedule", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_scores", "remove_invalid_values", "repetition_penalty",
    "return_dict_in_generate", "suppress_tokens", "target_lookbehind", "temperature", "top_k",
    "top_p", "typical_p"};

// One config.json, key by key; a key that is absent or null has transformers' default.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {
    json_ = parse_json<Json>(read_file(path), path);
    check(json_.is_object(), "{}: not a JSON object, so no config of a model", path);
  }

  void check_all_known() const { check_keys(json_, known_keys, path_); }

  const Json* find(std::string_view key) const {
    auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  // By its name, or by transformers' other one; both at once must agree.
  int64_t size(std::string_view key, int64_t otherwise) const {
    std::optional<int64_t> own = stated_size(key), other;
    for (auto [name, alias] : aliases) {
      if (name != key) continue;
      other = stated_size(alias);
      check(!own || !other || own == other,
            "{}: \"{}\" is {} and \"{}\", which is the same, is {}; take one of them out", path_,
            key, own.value_or(0), alias, other.value_or(0));
    }
    return own.value_or(other.value_or(otherwise));
  }

  // Refuses a model in which `key` has another value than the one that folio computes with.
  void require(const char* key, const Json& value) const {
    const Json* found = find(key);
    check(!found || *found == value,
          "{}: \"{}\" is {}; folio computes GPT-2 with {} and cannot run this model", path_, key,
          found ? shown(*found) : "", value.dump());
  }

  // Refuses a model that has `key` at all: it stands for another model, or for other files.
  void require_none(const char* key) const {
    const Json* found = find(key);
    check(!found || found->empty(),
          "{}: \"{}\" is {}; folio computes GPT-2 without it and cannot run this model", path_, key,
          found ? shown(*found) : "");
  }

  bool truth(const char* key, bool otherwise) const {
    const Json* found = find(key);
    check(!found || found->is_boolean(), "{}: \"{}\" must be true or false, got {}", path_, key,
          found ? shown(*found) : "");
    return found ? found->get<bool>() : otherwise;
  }

  std::string text(const char* key) const {
    const Json* found = find(key);
    check(!found || found->is_string(), "{}: \"{}\" must be a text, got {}", path_, key,
          found ? shown(*found) : "");
    return found ? found->get<std::string>() : "";
  }

  Unary activation() const {
    const Json* name = find("activation_function");
    if (!name) return gelu_tanh_op;
    for (const auto& [known, op] : activations)
      if (*name == known) return op;
    std::vector<std::string_view> names;
    for (const auto& [known, op] : activations) names.push_back(known);
    fail("{}: activation_function {} is not one that folio has: {}", path_, shown(*name),
         fmt::join(names, ", "));
  }

 private:
  std::optional<int64_t> stated_size(std::string_view key) const {
    const Json* value = find(key);
    if (!value) return {};
    check(value->is_number_unsigned() && *value > 0 && *value <= int64_t{1} << 40,
          "{}: \"{}\" must be a positive size, got {}", path_, key, shown(*value));
    return value->get<int64_t>();
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
                    .activation = read.activation(),
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
  read.check_all_known();
  return config;
}

std::string config_json(const Gpt2Config& config, int64_t end_token, const std::string& digest) {
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
  Json end = end_token < 0 ? Json() : Json(end_token);
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
            {"bos_token_id", end},
            {"eos_token_id", end},
            {"tie_word_embeddings", true},
            {"torch_dtype", "float32"}};
  if (!digest.empty()) json["folio_digest"] = digest;
  return text_of(json);
}

std::string generation_config_json(int64_t end_token) {
  Json json{{"_from_model_config", true}};
  if (end_token >= 0) json["bos_token_id"] = json["eos_token_id"] = end_token;
  return text_of(json);
}

}  // namespace folio

#include "data/hugging_face/config_reader.h"

#include <cmath>
#include <vector>

#include "core/check.h"
#include "data/files/files.h"
#include "data/text/json_keys.h"
#include "data/text/parse_json.h"

namespace folio {
namespace {

// Keys that any config may have, whatever the model.
constexpr std::string_view common_keys[] = {
    // of training, or of heads that folio does not have
    "initializer_range", "gradient_checkpointing", "summary_type", "summary_use_proj",
    "summary_activation", "summary_proj_to_labels", "summary_first_dropout", "id2label", "label2id",
    "num_labels", "problem_type", "finetuning_task", "task_specific_params", "loss_type",
    // what is stored or returned, and how
    "architectures", "n_special", "predict_special_tokens", "output_past", "use_cache",
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

}  // namespace

ConfigReader::ConfigReader(const std::string& path, std::string model, Aliases aliases)
    : path_(path), model_(std::move(model)), aliases_(aliases) {
  json_ = parse_json<Json>(read_file(path), path);
  check(json_.is_object(), "{}: not a JSON object, so no config of a model", path);
}

ConfigReader::ConfigReader(const ConfigReader& outer, std::string_view key, Json json)
    : path_(outer.path_),
      model_(outer.model_),
      prefix_(fmt::format("{}{}.", outer.prefix_, key)),
      json_(std::move(json)) {
  check(json_.is_object(), "{}: \"{}{}\" must be an object, got {}", path_, outer.prefix_, key,
        shown(json_));
}

const ConfigReader::Json* ConfigReader::find(std::string_view key) const {
  auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<ConfigReader> ConfigReader::object(std::string_view key) const {
  const Json* found = find(key);
  if (!found) return {};
  return ConfigReader(*this, key, *found);
}

bool ConfigReader::is_null(std::string_view key) const {
  auto found = json_.find(key);
  return found != json_.end() && found->is_null();
}

int64_t ConfigReader::size(std::string_view key, int64_t otherwise, int64_t least) const {
  std::optional<int64_t> own = stated_size(key, least), other;
  for (auto [name, alias] : aliases_) {
    if (name != key) continue;
    other = stated_size(alias, least);
    check(!own || !other || own == other,
          "{}: \"{}\" is {} and \"{}\", which is the same, is {}; take one of them out", path_, key,
          own.value_or(0), alias, other.value_or(0));
  }
  return own.value_or(other.value_or(otherwise));
}

double ConfigReader::number(std::string_view key, double otherwise) const {
  const Json* found = find(key);
  if (!found) return otherwise;
  check(found->is_number() && std::isfinite(found->get<double>()),
        "{}: \"{}{}\" must be a number, got {}", path_, prefix_, key, shown(*found));
  return found->get<double>();
}

bool ConfigReader::truth(std::string_view key, bool otherwise) const {
  const Json* found = find(key);
  check(!found || found->is_boolean(), "{}: \"{}{}\" must be true or false, got {}", path_, prefix_,
        key, found ? shown(*found) : "");
  return found ? found->get<bool>() : otherwise;
}

std::string ConfigReader::text(std::string_view key, const std::string& otherwise) const {
  const Json* found = find(key);
  check(!found || found->is_string(), "{}: \"{}{}\" must be a text, got {}", path_, prefix_, key,
        found ? shown(*found) : "");
  return found ? found->get<std::string>() : otherwise;
}

void ConfigReader::require(std::string_view key, const Json& value) const {
  const Json* found = find(key);
  if (found && *found != value)
    refuse(key, fmt::format("folio computes {} with {}", model_, value.dump()));
}

void ConfigReader::require_none(std::string_view key) const {
  const Json* found = find(key);
  if (found && !found->empty()) refuse(key, fmt::format("folio computes {} without it", model_));
}

void ConfigReader::refuse(std::string_view key, const std::string& reason) const {
  const Json* found = find(key);
  fail("{}: \"{}{}\" is {}; {} and cannot run this model", path_, prefix_, key,
       found ? shown(*found) : "absent", reason);
}

void ConfigReader::check_all_known(std::span<const std::string_view> known) const {
  std::vector<std::string_view> all(known.begin(), known.end());
  if (prefix_.empty()) all.insert(all.end(), std::begin(common_keys), std::end(common_keys));
  const std::string within = prefix_.substr(0, prefix_.empty() ? 0 : prefix_.size() - 1);
  check_keys(json_, all, prefix_.empty() ? path_ : fmt::format("{}: \"{}\"", path_, within));
}

std::optional<int64_t> ConfigReader::stated_size(std::string_view key, int64_t least) const {
  const Json* value = find(key);
  if (!value) return {};
  check(value->is_number_unsigned() && *value >= least && *value <= int64_t{1} << 40,
        "{}: \"{}{}\" must be {}, got {}", path_, prefix_, key,
        least > 0 ? "a positive size" : "a size, or 0", shown(*value));
  return value->get<int64_t>();
}

}  // namespace folio

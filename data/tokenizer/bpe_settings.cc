#include "data/tokenizer/bpe_settings.h"

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/text/json_keys.h"
#include "data/tokenizer/byte_alphabet.h"

namespace folio {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr int most_levels = 8;  // of Sequences in Sequences

std::string type_of(const Json& json) {
  if (!json.is_object()) return "";
  auto type = json.find("type");
  return type != json.end() && type->is_string() ? type->get<std::string>() : "";
}

Json value_of(const Json& json, const char* key) {
  auto found = json.find(key);
  return found == json.end() ? Json() : *found;
}

bool has_nfc(const Json& json, const std::string& path, int depth = 0) {
  if (json.is_null()) return false;
  if (type_of(json) == "NFC") return true;
  const Json list = type_of(json) == "Sequence" ? value_of(json, "normalizers") : Json();
  if (!list.is_array() || depth == most_levels)
    fail("{}: \"normalizer\": {} is not supported; folio has NFC, or none", path, shown(json));
  bool any = false;
  for (const Json& one : list) any |= has_nfc(one, path, depth + 1);
  return any;
}

// The ids that the post-processor puts before a text, appended to `starts`.
class StartReader {
 public:
  explicit StartReader(const std::string& path) : path_(path) {}

  std::vector<int32_t> read(const Json& step, int depth = 0) {
    if (step.is_null() || type_of(step) == "ByteLevel") return {};  // which moves offsets
    if (type_of(step) == "TemplateProcessing") return read_template(step);
    const Json list = type_of(step) == "Sequence" ? value_of(step, "processors") : Json();
    if (!list.is_array() || depth == most_levels) refuse(step);
    std::vector<int32_t> starts;
    for (const Json& one : list) {
      std::vector<int32_t> before = read(one, depth + 1);
      starts.insert(starts.begin(), before.begin(), before.end());
    }
    return starts;
  }

 private:
  [[noreturn]] void refuse(const Json& step) const {
    fail(
        "{}: \"post_processor\": {} is not supported; folio has ByteLevel and TemplateProcessing "
        "that puts tokens before a text",
        path_, shown(step));
  }

  std::vector<int32_t> read_template(const Json& step) const {
    const Json single = value_of(step, "single"), known = value_of(step, "special_tokens");
    std::vector<int32_t> starts;
    if (!single.is_array() || single.empty() || !single.back().is_object() ||
        !single.back().contains("Sequence"))
      refuse(step);
    for (size_t i = 0; i + 1 < single.size(); ++i) {
      const Json token = single[i].is_object() ? value_of(single[i], "SpecialToken") : Json();
      const Json name = token.is_object() ? value_of(token, "id") : Json();
      if (!name.is_string()) refuse(step);
      const auto text = name.get<std::string>();
      const Json ids = known.is_object() && known.contains(text) && known[text].is_object()
                           ? value_of(known[text], "ids")
                           : Json();
      bool whole = ids.is_array() && !ids.empty();
      for (const Json& id : ids)
        whole = whole && id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
      if (!whole)
        fail("{}: \"post_processor\" needs the ids of \"{}\" under \"special_tokens\", got {}",
             path_, text, shown(ids));
      for (const Json& id : ids) starts.push_back(id.get<int32_t>());
    }
    return starts;
  }

  const std::string& path_;
};

void check_decoder(const Json& decoder, const std::string& path) {
  bool plain = decoder.is_null() || type_of(decoder) == "ByteLevel";
  if (type_of(decoder) == "Sequence" && value_of(decoder, "decoders").is_array()) {
    plain = true;
    for (const Json& one : decoder["decoders"]) plain = plain && type_of(one) == "ByteLevel";
  }
  if (!plain) fail("{}: \"decoder\" must be ByteLevel, got {}", path, shown(decoder));
}

bool truth(const Json& model, const char* key, const std::string& path) {
  const Json value = value_of(model, key);
  if (!value.is_null() && !value.is_boolean())
    fail("{}: \"model\": \"{}\" must be true or false, got {}", path, key, shown(value));
  return value == true;
}

bool has_every_byte(const Json& vocab) {
  for (int byte = 0; byte < 256; ++byte)
    if (!vocab.contains(spell_bytes(std::string(1, char(byte))))) return false;
  return true;
}

void read_model(const Json& model, const std::string& path, BpeSettings& settings) {
  constexpr std::string_view keys[] = {"type",
                                       "vocab",
                                       "merges",
                                       "ignore_merges",
                                       "dropout",
                                       "continuing_subword_prefix",
                                       "end_of_word_suffix",
                                       "byte_fallback",
                                       "unk_token",
                                       "fuse_unk"};
  check_keys(model, keys, path + ": \"model\"");
  Json type = model.value("type", Json("BPE"));
  check(type == "BPE", "{}: model type {} is not supported, only \"BPE\"", path, shown(type));
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json value = value_of(model, key);
    if (!value.is_null() && value != "" && value != 0.0)
      fail("{}: \"model\": \"{}\": {} is not supported; a byte-level tokenizer has none", path, key,
           shown(value));
  }
  check(!truth(model, "byte_fallback", path) || has_every_byte(value_of(model, "vocab")),
        "{}: \"model\": \"byte_fallback\": true is not supported, as the vocabulary lacks bytes",
        path);
  settings.ignore_merges = truth(model, "ignore_merges", path);
  settings.fuse_unk = truth(model, "fuse_unk", path);
  const Json unk = value_of(model, "unk_token");
  if (!unk.is_null() && !unk.is_string())
    fail("{}: \"model\": \"unk_token\" must be a text, got {}", path, shown(unk));
  if (unk.is_string()) settings.unk_token = unk.get<std::string>();
}

}  // namespace

bool read_nfc(const Json& json, const std::string& path) {
  return has_nfc(value_of(json, "normalizer"), path);
}

std::vector<int32_t> read_starts(const Json& json, const std::string& path) {
  return StartReader(path).read(value_of(json, "post_processor"));
}

BpeSettings read_settings(const Json& json, const std::string& path) {
  BpeSettings settings;
  settings.nfc = read_nfc(json, path);
  const Json steps = value_of(json, "pre_tokenizer");
  check(!steps.is_null(), "{}: has no \"pre_tokenizer\"; folio reads byte-level tokenizers", path);
  settings.steps = read_steps(steps, path + ": \"pre_tokenizer\"");
  settings.starts = read_starts(json, path);
  check_decoder(value_of(json, "decoder"), path);
  read_model(json.at("model"), path, settings);
  return settings;
}

Ordered settings_json(const BpeSettings& settings, const std::vector<std::string>& starts) {
  Ordered byte_level = steps_json({ByteLevelStep{}});
  Ordered template_json = nullptr;
  if (!starts.empty()) {
    Ordered single = Ordered::array(), known = Ordered::object();
    for (size_t i = 0; i < starts.size(); ++i) {
      single.push_back({{"SpecialToken", {{"id", starts[i]}, {"type_id", 0}}}});
      known[starts[i]] = {{"id", starts[i]},
                          {"ids", Ordered::array({settings.starts[i]})},
                          {"tokens", Ordered::array({starts[i]})}};
    }
    Ordered pair = single;
    for (auto [name, type] : {std::pair{"A", 0}, {"B", 1}})
      pair.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    template_json = {{"type", "TemplateProcessing"},
                     {"single", single},
                     {"pair", pair},
                     {"special_tokens", known}};
  }
  return {{"normalizer", settings.nfc ? Ordered{{"type", "NFC"}} : Ordered()},
          {"pre_tokenizer", steps_json(settings.steps)},
          {"post_processor", template_json},
          {"decoder", byte_level}};
}

Ordered model_json(const BpeSettings& settings) {
  Ordered model{{"type", "BPE"}};
  if (!settings.unk_token.empty()) model["unk_token"] = settings.unk_token;
  if (settings.fuse_unk) model["fuse_unk"] = true;
  if (settings.ignore_merges) model["ignore_merges"] = true;
  return model;
}

}  // namespace folio

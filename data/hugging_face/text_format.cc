#include "data/hugging_face/text_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/files/files.h"
#include "data/text/json_keys.h"
#include "data/text/parse_json.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json object_of(const fs::path& file) {
  if (!fs::exists(file)) return Json::object();
  Json json = parse_json<Json>(read_file(file.string()), file.string());
  check(json.is_object(), "{}: must be a JSON object, got {}", file.string(), shown(json));
  return json;
}

// Texts that a class of transformers' gives to tokens that the files do not name; nothing for a
// class of which folio does not know that.
std::optional<std::map<std::string, std::string>> defaults_of(const Json& config) {
  const std::string end = "<|endoftext|>";
  std::string name = config.contains("tokenizer_class") && config["tokenizer_class"].is_string()
                         ? config["tokenizer_class"].get<std::string>()
                         : "";
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name == "GPT2Tokenizer")
    return {{{"bos_token", end}, {"eos_token", end}, {"unk_token", end}}};
  if (name == "Qwen2Tokenizer")
    return {{{"eos_token", end}, {"unk_token", end}, {"pad_token", end}}};
  if (name == "PreTrainedTokenizer" || name == "TokenizersBackend")
    return std::map<std::string, std::string>{};
  return {};
}

// transformers' special_tokens_map.
std::map<std::string, std::optional<std::string>> named_tokens(const fs::path& folder,
                                                               const Json& config) {
  std::map<std::string, std::optional<std::string>> tokens;
  const auto defaults = defaults_of(config);
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"})
    if (!defaults) tokens[name] = std::nullopt;
  if (defaults) tokens.insert(defaults->begin(), defaults->end());
  auto take = [&](const Json& json) {
    for (const auto& [key, value] : json.items()) {
      if (!key.ends_with("_token")) continue;
      const Json text = value.is_object() ? value.value("content", Json()) : value;
      if (text.is_string()) tokens[key] = text.get<std::string>();
      if (text.is_null()) tokens.erase(key);
    }
  };
  // transformers leaves it where the other file has the added tokens.
  if (!config.contains("added_tokens_decoder")) take(object_of(folder / "special_tokens_map.json"));
  take(config);
  return tokens;
}

EndTokens end_tokens_from_json(const Json& json, int64_t vocab_size, const std::string& where) {
  EndTokens ends{.is_list = json.is_array()};
  if (json.is_null()) return ends;
  for (const Json& id : ends.is_list ? json : Json::array({json})) {
    check(id.is_number_integer(), "{} must be an id or a list of ids, got {}", where, shown(json));
    const bool fits = id >= 0 && id < vocab_size;
    check(fits, "{} is {}, but the model's {} tokens have the ids 0 to {}; {} is none of them",
          where, shown(json), vocab_size, vocab_size - 1, id.dump());
    ends.ids.push_back(id.get<int64_t>());
  }
  return ends;
}

}  // namespace

EndTokens load_end_tokens(const fs::path& folder, int64_t vocab_size) {
  fs::path file = folder / "generation_config.json";
  if (!fs::exists(file)) file = folder / "config.json";
  const Json json = object_of(file);
  const auto found = json.find("eos_token_id");
  if (found == json.end()) return {};
  return end_tokens_from_json(*found, vocab_size, file.string() + ": \"eos_token_id\"");
}

Json to_json(const EndTokens& ends) {
  if (ends.ids.empty()) return {};
  return ends.is_list ? Json(ends.ids) : Json(ends.ids[0]);
}

ChatFormat load_chat_format(const fs::path& folder) {
  ChatFormat chat;
  const fs::path config_file = folder / "tokenizer_config.json",
                 template_file = folder / "chat_template.jinja";
  chat.where = config_file.string() + ": \"chat_template\"";
  try {
    const Json config = object_of(config_file);
    Json templates = config.value("chat_template", Json());
    if (fs::exists(template_file)) {
      chat.where = template_file.string();
      templates = read_file(template_file.string());
    }
    if (templates.is_null()) return chat;
    chat.templates = templates.dump(-1, ' ', false, Json::error_handler_t::replace);
    chat.tokens = named_tokens(folder, config);
  } catch (const Error& error) {
    chat.error = error.what();
  }
  return chat;
}

ChatTemplate default_template(const ChatFormat& chat) {
  check(chat.error.empty(), "{}", chat.error);
  check(!chat.templates.empty(),
        "{}: there is none, nor a chat_template.jinja: the model does not say how conversations "
        "are written; it may be a base model, that continues texts (leave --chat out)",
        chat.where);
  const Json templates = parse_json<Json>(chat.templates, chat.where);
  if (templates.is_string()) return {templates.get<std::string>(), chat.where};
  const std::string where = chat.where + "[\"default\"]";
  const Json by_name = templates.is_object() ? templates.value("default", Json()) : Json();
  if (by_name.is_string()) return {by_name.get<std::string>(), where};
  const Json named = templates.is_array() ? templates : Json::array();
  for (const Json& one : named) {
    const bool whole = one.is_object() && one.value("name", Json()) == "default" &&
                       one.value("template", Json()).is_string();
    if (whole) return {one.at("template").get<std::string>(), where};
  }
  fail(
      "{}: must be a text, or a list of {{\"name\", \"template\"}} of which one is named "
      "\"default\", "
      "got {}",
      chat.where, shown(templates));
}

std::vector<int32_t> end_tokens(const EndTokens& ends, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids(ends.ids.begin(), ends.ids.end());
  if (const auto end = tokenizer.end_of_text(); ids.empty() && end) ids.push_back(*end);
  return ids;
}

std::string to_text(const EndTokens& ends) { return to_json(ends).dump(); }

EndTokens end_tokens_from_text(const std::string& text, int64_t vocab_size,
                               const std::string& where) {
  return end_tokens_from_json(parse_json<Json>(text, where), vocab_size, where);
}

std::string tokens_to_text(const ChatFormat& chat) {
  Json tokens = Json::object();
  for (const auto& [name, text] : chat.tokens) tokens[name] = text ? Json(*text) : Json();
  return tokens.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ChatFormat chat_format_from_text(const std::string& templates, const std::string& tokens,
                                 const std::string& where) {
  ChatFormat chat{.templates = parse_json<Json>(templates, where).dump(), .where = where};
  const Json named = parse_json<Json>(tokens, where);
  for (const auto& [name, text] : named.items()) {
    check(named.is_object() && (text.is_string() || text.is_null()),
          "{}: its tokens must be an object of texts, got {}", where, shown(named));
    chat.tokens[name] = text.is_null() ? std::nullopt : std::optional(text.get<std::string>());
  }
  return chat;
}

}  // namespace folio

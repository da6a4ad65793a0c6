#include "checkpoint/saved_text_format.h"

#include <nlohmann/json.hpp>

#include "data/text/json_keys.h"
#include "data/text/parse_json.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

std::string place(const CheckpointFile& file, const char* key) {
  return fmt::format("{}: \"{}\"", file.path.string(), key);
}

Json saved(const CheckpointFile& file, const char* key) {
  if (!file.has(key)) return {};
  return parse_json<Json>(file.attribute<std::string>(key), place(file, key));
}

}  // namespace

void put_text_format(CheckpointFile& file, const TextFormat& format) {
  if (!format.ends.ids.empty()) file.attributes["end_tokens"] = to_json(format.ends).dump();
  if (format.chat.templates.empty()) return;
  Json tokens = Json::object();
  for (const auto& [name, text] : format.chat.tokens) tokens[name] = text ? Json(*text) : Json();
  file.attributes["chat_template"] = format.chat.templates;
  file.attributes["chat_tokens"] = tokens.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TextFormat saved_text_format(const CheckpointFile& file, int64_t vocab_size) {
  TextFormat format;
  format.ends =
      end_tokens_from_json(saved(file, "end_tokens"), vocab_size, place(file, "end_tokens"));
  format.chat.where = place(file, "chat_template");
  if (!file.has("chat_template")) return format;
  format.chat.templates = saved(file, "chat_template").dump();
  const Json tokens = saved(file, "chat_tokens");
  for (const auto& [name, text] : tokens.items()) {
    check(tokens.is_object() && (text.is_string() || text.is_null()),
          "{} must be an object of texts, got {}", place(file, "chat_tokens"), shown(tokens));
    format.chat.tokens[name] =
        text.is_null() ? std::nullopt : std::optional(text.get<std::string>());
  }
  return format;
}

}  // namespace folio

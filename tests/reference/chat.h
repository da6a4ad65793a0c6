#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/files/files.h"
#include "tests/paths.h"

// chat.json: what transformers makes of conversations (README.md).
namespace folio::reference {

inline const nlohmann::json& chat() {
  static const auto json =
      nlohmann::json::parse(read_file(source_path("tests/reference/chat.json")));
  return json;
}

inline std::string chat_template(const std::string& name) {
  return chat().at("templates").at(name).get<std::string>();
}

// Its tokenizer's files, with this template unless it is null.
inline void write_chat_tokenizer(const std::string& folder, const nlohmann::json& templates) {
  for (const auto& [name, content] : chat().at("files").items()) {
    nlohmann::json file = content;
    if (name == "tokenizer_config.json" && !templates.is_null()) file["chat_template"] = templates;
    write_file(folder + "/" + name, file.dump());
  }
}

// Of the tokenizer's added tokens.
inline int32_t chat_id(const std::string& token) {
  for (const auto& one : chat().at("files").at("tokenizer.json").at("added_tokens"))
    if (one.at("content") == token) return one.at("id").get<int32_t>();
  throw std::runtime_error("chat.json adds no token " + token);
}

}  // namespace folio::reference

#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace folio {

// The ids that end a text, each of them: eos_token_id, which is a number or a list.
struct EndTokens {
  std::vector<int64_t> ids = {};
  bool is_list = false;

  bool operator==(const EndTokens&) const = default;
};

// What a model's tokenizer_config.json and chat_template.jinja say of conversations.
struct ChatFormat {
  std::string templates = {};  // JSON: a text or a list of {"name", "template"}; empty: none
  // bos_token and the like, as templates call them, and their texts; nothing for one that may have
  // a text which the files do not tell.
  std::map<std::string, std::optional<std::string>> tokens = {};
  std::string where = {};  // the file and the key, for messages
  std::string error = {};  // why the files cannot be read; empty: they can

  bool operator==(const ChatFormat&) const = default;
};

// How a model's texts are written, beyond its tokenizer.
struct TextFormat {
  EndTokens ends = {};
  ChatFormat chat = {};
};

// Of a folder in Hugging Face's layout, as transformers' generate() takes them: from
// generation_config.json alone where there is one, else from config.json. Throws Error, with the
// file, the key and the value, for an id that is none of `vocab_size`.
EndTokens load_end_tokens(const std::filesystem::path& folder, int64_t vocab_size);
// As transformers' apply_chat_template finds it: chat_template.jinja comes before the key.
ChatFormat load_chat_format(const std::filesystem::path& folder);

// The template of conversations without tools. Throws Error where there is none.
struct ChatTemplate {
  std::string source;
  std::string where;  // the file and the key, and its name among several
};
ChatTemplate default_template(const ChatFormat& chat);

// The end tokens or, where a model names none, the tokenizer's <|endoftext|>, if it has one.
std::vector<int32_t> end_tokens(const EndTokens& ends, const Tokenizer& tokenizer);

// As eos_token_id: a number, a list, or null without any.
nlohmann::ordered_json to_json(const EndTokens& ends);

// Both as JSON, for a file that keeps them: "[2, 3]", {"bos_token": "<s>"}. Reading throws Error
// that begins with `where` for what these did not write, as load_end_tokens for an id that is none.
std::string to_text(const EndTokens& ends);
EndTokens end_tokens_from_text(const std::string& text, int64_t vocab_size,
                               const std::string& where);
std::string tokens_to_text(const ChatFormat& chat);
ChatFormat chat_format_from_text(const std::string& templates, const std::string& tokens,
                                 const std::string& where);

}  // namespace folio

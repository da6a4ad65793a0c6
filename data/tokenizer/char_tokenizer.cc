#include "data/tokenizer/char_tokenizer.h"

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/text/utf8.h"

namespace folio {

CharTokenizer::CharTokenizer(std::u32string characters) : characters_(std::move(characters)) {
  for (size_t i = 1; i < characters_.size(); ++i)
    check(characters_[i - 1] < characters_[i],
          "a character vocabulary must be sorted and without repeats: {} follows {}",
          describe(characters_[i]), describe(characters_[i - 1]));
  if (characters_.empty()) return;
  check(characters_.back() <= 0x10ffff, "a character vocabulary ends at U+10FFFF, got U+{:X}",
        uint32_t(characters_.back()));
  ids_.assign(size_t(characters_.back()) + 1, -1);
  for (size_t i = 0; i < characters_.size(); ++i) ids_[characters_[i]] = int32_t(i);
}

std::vector<int32_t> CharTokenizer::encode(std::string_view text, SpecialTokens) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size());
  for_each_code_point(text, "the text", [&](char32_t c, size_t at) {
    int32_t token = id(c);
    check(token >= 0,
          "the vocabulary lacks {}, character {} of the text (byte offset {}); use characters that "
          "occur in the training text, or train on a text that has this one",
          describe(c), ids.size() + 1, at);
    ids.push_back(token);
  });
  return ids;
}

std::string CharTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  text.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    check(0 <= ids[i] && ids[i] < vocab_size(),
          "token {} has id {}; the vocabulary's ids are 0 to {}", i, ids[i], vocab_size() - 1);
    append_utf8(text, characters_[size_t(ids[i])]);
  }
  return text;
}

nlohmann::ordered_json CharTokenizer::to_json() const {
  std::string text;
  for (char32_t c : characters_) append_utf8(text, c);
  return {{"type", "char"}, {"characters", text}};
}

CharTokenizer CharTokenizer::from_json(const nlohmann::json& json, std::string_view name) {
  auto text = [&](const char* key) {
    auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get_ptr<const std::string*>()
                                                     : nullptr;
  };
  const std::string *type = text("type"), *characters = text("characters");
  if (!type || !characters)
    fail("{}: a tokenizer must be {{\"type\": \"char\", \"characters\": \"...\"}}, got {}", name,
         json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, 80));
  check(*type == "char", "{}: tokenizer type \"{}\" is not known; the known one is \"char\"", name,
        *type);
  std::u32string vocabulary;
  for_each_code_point(*characters, name, [&](char32_t c, size_t) { vocabulary += c; });
  return CharTokenizer(std::move(vocabulary));
}

}  // namespace folio

#pragma once
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace folio {

// One token a character: a token's id is its code point's place in the sorted vocabulary.
class CharTokenizer : public Tokenizer {
 public:
  CharTokenizer() = default;
  // `characters` must be sorted and distinct; Error otherwise.
  explicit CharTokenizer(std::u32string characters);

  int64_t vocab_size() const override { return int64_t(characters_.size()); }
  const std::u32string& characters() const { return characters_; }

  // The id of a code point, -1 if the vocabulary lacks it.
  int32_t id(char32_t c) const { return c < ids_.size() ? ids_[c] : -1; }
  // Error for text that is not UTF-8 and for the first character that the vocabulary lacks, named.
  // There are no special tokens.
  std::vector<int32_t> encode(std::string_view text,
                              SpecialTokens special = SpecialTokens::as_text) const override;
  std::string decode(std::span<const int32_t> ids) const override;

  // {"type": "char", "characters": "..."}
  nlohmann::ordered_json to_json() const override;
  // Error if `json` is not what to_json gives; `name` is what the message calls its source.
  static CharTokenizer from_json(const nlohmann::json& json, std::string_view name);

 private:
  std::u32string characters_;
  std::vector<int32_t> ids_;  // by code point, up to the last of the vocabulary
};

}  // namespace folio

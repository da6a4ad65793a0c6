#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// What encode makes of the spelling of a special token, "<|endoftext|>", inside a text.
enum class SpecialTokens {
  as_text,  // text like any other, as untrusted text should be
  allowed,  // the token
};

// Text to token ids and back. Never changes once made: any thread may use it.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int64_t vocab_size() const = 0;
  // Error, with the place, for text that the vocabulary cannot spell.
  virtual std::vector<int32_t> encode(std::string_view text,
                                      SpecialTokens special = SpecialTokens::as_text) const = 0;
  // The ids' bytes: one id may be a part of a UTF-8 character. Error for an id outside
  // [0, vocab_size).
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  // The id that stands between documents, where the vocabulary has one.
  virtual std::optional<int32_t> end_of_text() const { return {}; }

  // {"type": "...", ...}: what tokenizer_from_json rebuilds it from.
  virtual nlohmann::ordered_json to_json() const = 0;
};

// The same ids for the same text.
bool operator==(const Tokenizer& a, const Tokenizer& b);

// Error if `json` is not what to_json gives; `name` is what the message calls its source.
std::shared_ptr<const Tokenizer> tokenizer_from_json(const nlohmann::ordered_json& json,
                                                     std::string_view name);

// The same as one line of text.
std::string to_text(const Tokenizer& tokenizer);
std::shared_ptr<const Tokenizer> tokenizer_from_text(std::string_view text, std::string_view name);

}  // namespace folio

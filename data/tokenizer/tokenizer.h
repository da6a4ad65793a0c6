#pragma once
#include <cstdint>
#include <map>
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
  // The ids with which the tokenizer's model expects a document to begin, e.g. Llama 3's
  // <|begin_of_text|>; encode leaves them to its caller.
  virtual std::vector<int32_t> start_tokens() const { return {}; }
  // How often bytes of a text are in none of its ids, as the vocabulary cannot spell them.
  virtual std::map<unsigned char, int64_t> lost_bytes(std::string_view /*text*/,
                                                      SpecialTokens /*special*/) const {
    return {};
  }
  // The last place in `text`, of UTF-8, where it can be cut without changing the ids, whatever
  // comes after it; 0 if none is known.
  virtual size_t last_safe_cut(std::string_view text) const;

  // {"type": "...", ...}: what tokenizer_from_json rebuilds it from.
  virtual nlohmann::ordered_json to_json() const = 0;
};

// The same ids for the same text.
bool operator==(const Tokenizer& a, const Tokenizer& b);

// Error if `json` is not what to_json gives; `name` is what the message calls its source.
std::shared_ptr<const Tokenizer> tokenizer_from_json(const nlohmann::json& json,
                                                     std::string_view name);

// The same as one line of text.
std::string to_text(const Tokenizer& tokenizer);
std::shared_ptr<const Tokenizer> tokenizer_from_text(std::string_view text, std::string_view name);

}  // namespace folio

#include "data/tokenizer/tokenizer.h"

#include <nlohmann/json.hpp>

#include "data/text/parse_json.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/char_tokenizer.h"
#include "data/tokenizer/pretokenizers/gpt2.h"

namespace folio {

bool operator==(const Tokenizer& a, const Tokenizer& b) {
  return &a == &b || (a.vocab_size() == b.vocab_size() && a.to_json() == b.to_json());
}

std::shared_ptr<const Tokenizer> tokenizer_from_json(const nlohmann::json& json,
                                                     std::string_view name) {
  auto type = json.find("type");
  if (type != json.end() && (*type == "bpe" || *type == "byte_level_bpe"))
    return BpeTokenizer::from_json(json, name);
  return std::make_shared<CharTokenizer>(CharTokenizer::from_json(json, name));
}

size_t Tokenizer::last_safe_cut(std::string_view text) const { return folio::last_safe_cut(text); }

std::string to_text(const Tokenizer& tokenizer) { return tokenizer.to_json().dump(); }

std::shared_ptr<const Tokenizer> tokenizer_from_text(std::string_view text, std::string_view name) {
  return tokenizer_from_json(parse_json<nlohmann::json>(text, name), name);
}

}  // namespace folio

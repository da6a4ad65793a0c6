#pragma once
#include <array>
#include <string>
#include <vector>

#include "data/tokenizer/bpe_vocabulary.h"
#include "data/tokenizer/byte_pairs.h"
#include "data/tokenizer/pretoken_cache.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// GPT-2's tokenizer: the text is cut into pretokens (pretokenizer.h), whose bytes are merged.
class BpeTokenizer : public Tokenizer {
 public:
  // Error, naming `name` as the source, unless every byte is a token, every merge gives one, and no
  // two tokens are the same.
  BpeTokenizer(BpeVocabulary vocabulary, std::string_view name);

  const BpeVocabulary& vocabulary() const { return vocabulary_; }
  int64_t vocab_size() const override { return int64_t(vocabulary_.tokens.size()); }
  // Takes any bytes. What follows the first that is not UTF-8 is not cut any more; it is one with
  // the last pretoken before it, as in tiktoken.
  std::vector<int32_t> encode(std::string_view text,
                              SpecialTokens special = SpecialTokens::as_text) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::optional<int32_t> end_of_text() const override { return end_of_text_; }
  nlohmann::ordered_json to_json() const override;
  static std::shared_ptr<const BpeTokenizer> from_json(const nlohmann::ordered_json& json,
                                                       std::string_view name);

 private:
  class Ids;
  // An added token; `spelling` is the vocabulary's.
  struct Added {
    std::string_view spelling;
    int32_t id;
    bool special;
  };
  class AddedFinder;
  // Those of the first tier, or of a later one: normalized ones are looked for in what the others
  // leave.
  void encode_tier(std::string_view text, size_t tier, SpecialTokens special, PretokenCache& cache,
                   Ids& ids) const;
  void encode_text(std::string_view text, PretokenCache& cache, Ids& ids) const;
  void encode_utf8(std::string_view text, PretokenCache& cache, Ids& ids) const;
  void encode_broken(std::string_view rest, Ids& ids) const;

  BpeVocabulary vocabulary_;
  BytePairs pairs_;
  std::array<std::vector<Added>, 2> tiers_;
  std::optional<int32_t> end_of_text_;
  mutable PretokenCaches caches_;
};

}  // namespace folio

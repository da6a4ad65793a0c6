#pragma once
#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/added_finder.h"
#include "data/tokenizer/bpe_settings.h"
#include "data/tokenizer/bpe_vocabulary.h"
#include "data/tokenizer/byte_pairs.h"
#include "data/tokenizer/pretoken_cache.h"
#include "data/tokenizer/pretokenizers/pretokenizer.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// A byte-level BPE, GPT-2's or another: the text is cut into pretokens, whose bytes are merged.
class BpeTokenizer : public Tokenizer {
 public:
  // Error, naming `name` as the source, unless every merge gives a token, no two tokens are the
  // same, and what the settings name is there.
  BpeTokenizer(BpeVocabulary vocabulary, std::string_view name, BpeSettings settings = {});

  const BpeVocabulary& vocabulary() const { return vocabulary_; }
  const BpeSettings& settings() const { return settings_; }
  // The spellings of the settings' starts.
  std::vector<std::string> start_spellings() const;
  int64_t vocab_size() const override { return int64_t(vocabulary_.tokens.size()); }
  // Takes any bytes. What follows the first that is not UTF-8 is not cut any more; it is one with
  // the last pretoken before it, as in tiktoken. Bytes that the vocabulary lacks vanish.
  std::vector<int32_t> encode(std::string_view text,
                              SpecialTokens special = SpecialTokens::as_text) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  std::optional<int32_t> end_of_text() const override { return end_of_text_; }
  std::vector<int32_t> start_tokens() const override { return settings_.starts; }
  std::map<unsigned char, int64_t> lost_bytes(std::string_view text,
                                              SpecialTokens special) const override;
  size_t last_safe_cut(std::string_view text) const override;
  nlohmann::ordered_json to_json() const override;
  static std::shared_ptr<const BpeTokenizer> from_json(const nlohmann::json& json,
                                                       std::string_view name);

 private:
  class Ids;
  using IdOf = std::unordered_map<std::string_view, int32_t>;

  IdOf ids_by_bytes(std::string_view name) const;
  BytePairs byte_pairs(const IdOf& ids, std::string_view name);
  void find_missing(const IdOf& ids, std::string_view name);
  template <class OnAdded, class OnText>
  void each_part(std::string_view text, SpecialTokens special, OnAdded&& on_added,
                 OnText&& on_text) const;
  void encode_text(std::string_view text, PretokenCache& cache, Ids& ids) const;
  size_t encode_pretoken(std::string_view pretoken, int32_t* out) const;
  std::string without_missing(std::string_view pretoken) const;
  void encode_broken(std::string_view rest, Ids& ids) const;

  BpeVocabulary vocabulary_;
  BpeSettings settings_;
  std::array<int32_t, 256>
      bytes_;  // their ids; the unknown token's, or -1, for those that lack one
  std::array<bool, 256> missing_{};
  bool any_missing_ = false;
  IdOf whole_;  // by their bytes, what ignore_merges looks up
  BytePairs pairs_;
  Pretokenizer pretokenizer_;
  std::array<AddedFinder, 2> added_;  // those of raw text; those of what is left and normalized
  std::optional<int32_t> end_of_text_;
  mutable PretokenCaches caches_;
};

}  // namespace folio

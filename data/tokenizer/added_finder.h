#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/bpe_vocabulary.h"

namespace folio {

// Finds added tokens in texts by their spelling, as Hugging Face's tokenizers does: the first first
// and at one place the longest.
class AddedFinder {
 public:
  struct Found {
    size_t begin, end;  // with the white space that the token takes with it
    int32_t id;
  };

  void add(std::string_view spelling, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }
  // Whether there is anything to find where special tokens count, or where they do not.
  bool any(bool special) const { return special ? !tokens_.empty() : any_plain_; }

  // Calls f(Found) for each in UTF-8 or other text, in order; special ones only where they count,
  // but one that does not still keeps others from its bytes.
  template <class F>
  void each(std::string_view text, bool special, F&& f) const {
    size_t taken = 0;
    Match match;
    for (size_t from = 0; next(text, from, match); from = match.end) {
      auto found = accept(text, match, special, taken);
      if (!found) continue;
      taken = found->end;
      f(*found);
    }
  }
  // Whether a text that ends so must not be cut there: a token takes the white space that follows.
  bool takes_what_follows(std::string_view text) const;

 private:
  struct Token {
    std::string spelling;
    AddedToken kind;
  };
  struct Match {
    size_t begin = 0, end = 0;
    const Token* token = nullptr;
  };
  bool next(std::string_view text, size_t from, Match& match) const;
  static std::optional<Found> accept(std::string_view text, const Match& match, bool special,
                                     size_t taken);
  static uint32_t start_of(std::string_view spelling);

  std::vector<Token> tokens_;
  // By the first two bytes, or the only one: the tokens, the longest first.
  std::unordered_map<uint32_t, std::vector<size_t>> starts_;
  std::array<bool, 256> first_bytes_{};
  bool any_plain_ = false;
};

}  // namespace folio

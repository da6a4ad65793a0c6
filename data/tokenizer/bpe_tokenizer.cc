#include "data/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/check.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/pretokenizer.h"

namespace folio {
namespace {

using IdOf = std::unordered_map<std::string_view, int32_t>;

IdOf ids_by_bytes(const BpeVocabulary& vocabulary, std::string_view name) {
  IdOf ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (vocabulary.is_added(id)) continue;
    bool is_new = !token.empty() && ids.emplace(token, int32_t(id)).second;
    check(is_new, "{}: token {} ({}) is empty or there twice", name, id, SpelledExcerpt{token});
  }
  return ids;
}

BytePairs byte_pairs(const BpeVocabulary& vocabulary, std::string_view name) {
  IdOf ids = ids_by_bytes(vocabulary, name);
  std::array<int32_t, 256> bytes;
  for (int byte = 0; byte < 256; ++byte) {
    std::string one(1, char(byte));
    check(ids.contains(one), "{}: has no token for byte 0x{:02x} ({}); GPT-2's BPE needs all 256",
          name, byte, SpelledExcerpt{one});
    bytes[size_t(byte)] = ids.at(one);
  }
  std::vector<MergeRule> rules;
  rules.reserve(vocabulary.merges.size());
  for (auto [left, right] : vocabulary.merges) {
    const std::string &a = vocabulary.tokens.at(size_t(left)),
                      &b = vocabulary.tokens.at(size_t(right));
    std::string both = a + b;
    auto merged = ids.find(both);
    check(merged != ids.end(), "{}: merge {} ({} {}) gives {}, which is not in the vocabulary",
          name, rules.size() + 1, SpelledExcerpt{a}, SpelledExcerpt{b}, SpelledExcerpt{both});
    rules.push_back({left, right, merged->second});
  }
  auto sorted = vocabulary.merges;
  std::ranges::sort(sorted);
  auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end())
    fail("{}: the merge {} {} is there twice", name,
         SpelledExcerpt{vocabulary.tokens[size_t(twice->first)]},
         SpelledExcerpt{vocabulary.tokens[size_t(twice->second)]});
  return BytePairs(bytes, rules);
}

// What to_json's "added" says of a token; without a word it is special.
AddedToken added_kind(const nlohmann::ordered_json& json, const std::string& token,
                      std::string_view name) {
  auto added = json.find("added");
  if (added == json.end() || !added->is_object() || !added->contains(token)) return {};
  const nlohmann::ordered_json& kind = added->at(token);
  auto truth = [&](const char* key) {
    bool whole = kind.is_object() && kind.contains(key) && kind[key].is_boolean();
    check(whole, "{}: \"added\" needs \"{}\" of \"{}\"; the file is damaged", name, key, token);
    return kind[key].get<bool>();
  };
  return {.id = 0, .special = truth("special"), .normalized = truth("normalized")};
}

}  // namespace

// Ids that are written through a pointer: room is made once a pretoken, not once an id.
class BpeTokenizer::Ids {
 public:
  explicit Ids(size_t expected) : ids_(expected) {}
  // Room for `count` more.
  int32_t* room(size_t count) {
    if (ids_.size() - size_ < count) ids_.resize(size_ + count + ids_.size() / 2);
    return ids_.data() + size_;
  }
  void wrote(size_t count) { size_ += count; }
  void push(int32_t id) {
    *room(1) = id;
    wrote(1);
  }
  size_t size() const { return size_; }
  int32_t operator[](size_t i) const { return ids_[i]; }
  void truncate(size_t size) { size_ = size; }
  std::vector<int32_t> take() {
    ids_.resize(size_);
    return std::move(ids_);
  }
  size_t last_pretoken = 0;  // where its ids start

 private:
  std::vector<int32_t> ids_;
  size_t size_ = 0;
};

// The added tokens in a text, the first first and at one place the longest.
class BpeTokenizer::AddedFinder {
 public:
  struct Found {
    size_t at, end;
    const Added* token;
  };

  AddedFinder(const std::vector<Added>& tokens, std::string_view text) : text_(text) {
    for (const Added& token : tokens) next_.push_back({&token, text.find(token.spelling)});
  }
  std::optional<Found> next(size_t from) {
    const Next* best = nullptr;
    for (Next& next : next_) {
      if (next.at < from) next.at = text_.find(next.token->spelling, from);
      if (next.at == text_.npos || (best && next.at > best->at)) continue;
      if (!best || next.at < best->at || next.token->spelling.size() > best->token->spelling.size())
        best = &next;
    }
    if (!best) return {};
    return Found{best->at, best->at + best->token->spelling.size(), best->token};
  }

 private:
  struct Next {
    const Added* token;
    size_t at;  // where it is next
  };
  std::string_view text_;
  std::vector<Next> next_;
};

BpeTokenizer::BpeTokenizer(BpeVocabulary vocabulary, std::string_view name)
    : vocabulary_(std::move(vocabulary)), pairs_(byte_pairs(vocabulary_, name)) {
  auto found = vocabulary_.added.find(std::string(end_of_text_token));
  if (found != vocabulary_.added.end()) end_of_text_ = found->second.id;
  for (const auto& [text, token] : vocabulary_.added)
    tiers_[token.normalized].push_back({text, token.id, token.special});
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text, SpecialTokens special) const {
  Ids ids(text.size() / 3 + 64);
  std::unique_ptr<PretokenCache> cache = caches_.take();
  encode_tier(text, 0, special, *cache, ids);
  caches_.give_back(std::move(cache));
  return ids.take();
}

void BpeTokenizer::encode_tier(std::string_view text, size_t tier, SpecialTokens special,
                               PretokenCache& cache, Ids& ids) const {
  if (tier == tiers_.size()) return encode_text(text, cache, ids);
  auto counts = [&](const Added& token) {
    return special == SpecialTokens::allowed || !token.special;
  };
  size_t at = 0, from = 0;
  if (std::ranges::any_of(tiers_[tier], counts)) {
    AddedFinder finder(tiers_[tier], text);
    while (auto found = finder.next(from)) {
      // One that does not count still keeps others from its bytes, as in Hugging Face's tokenizers.
      from = found->end;
      if (!counts(*found->token)) continue;
      encode_tier(text.substr(at, found->at - at), tier + 1, special, cache, ids);
      ids.push(found->token->id);
      at = found->end;
    }
  }
  encode_tier(text.substr(at), tier + 1, special, cache, ids);
}

void BpeTokenizer::encode_text(std::string_view text, PretokenCache& cache, Ids& ids) const {
  size_t valid = utf8_prefix(text);
  ids.last_pretoken = ids.size();
  encode_utf8(text.substr(0, valid), cache, ids);
  if (valid < text.size()) encode_broken(text.substr(valid), ids);
}

void BpeTokenizer::encode_utf8(std::string_view text, PretokenCache& cache, Ids& ids) const {
  for (size_t at = 0; at < text.size();) {
    size_t end = pretoken_end(text, at), bytes = end - at;
    std::string_view pretoken = text.substr(at, bytes);
    int32_t* out = ids.room(std::max(bytes, PretokenCache::max_ids));
    size_t count;
    ids.last_pretoken = ids.size();
    if (bytes > PretokenCache::max_bytes) {
      count = pairs_.encode(pretoken, out);
    } else {
      PretokenCache::Key key = PretokenCache::key(text, at, bytes);
      PretokenCache::Entry& entry = cache[key];
      if (entry.key == key) {
        count = entry.count;
        std::copy_n(entry.ids, 4, out);
        if (count > 4) std::copy_n(entry.ids + 4, PretokenCache::max_ids - 4, out + 4);
      } else {
        count = pairs_.encode(pretoken, out);
        if (count <= PretokenCache::max_ids) {
          entry.key = key;
          entry.count = uint32_t(count);
          std::copy_n(out, count, entry.ids);
        }
      }
    }
    ids.wrote(count);
    at = end;
  }
}

// tiktoken's guess at where there would have been a cut: not in the pretoken before the fault, nor
// in the spaces before it if it is spaces.
void BpeTokenizer::encode_broken(std::string_view rest, Ids& ids) const {
  auto is_space = [&](size_t i) {
    return vocabulary_.tokens[size_t(ids[i])].find_first_not_of(" \n\t") == std::string::npos;
  };
  size_t begin = ids.last_pretoken;
  while (begin > 0 && begin < ids.size() && is_space(begin) && is_space(begin - 1)) --begin;
  std::string bytes;
  for (size_t i = begin; i < ids.size(); ++i) bytes += vocabulary_.tokens[size_t(ids[i])];
  bytes += rest;
  ids.truncate(begin);
  ids.wrote(pairs_.encode(bytes, ids.room(bytes.size())));
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    check(0 <= ids[i] && ids[i] < vocab_size(),
          "token {} has id {}; the vocabulary's ids are 0 to {}", i, ids[i], vocab_size() - 1);
    text += vocabulary_.tokens[size_t(ids[i])];
  }
  return text;
}

// {"type": "bpe", "vocab": the tokens by id in the byte alphabet, with a space between them and
// nothing for an added one, "merges": as in merges.txt, "special": {"<|endoftext|>": 50256}, of all
// added ones, and, of those that are not like it, "added": {"<x>": {"special": false, ...}}}
nlohmann::ordered_json BpeTokenizer::to_json() const {
  std::string vocab;
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    if (id > 0) vocab += ' ';
    if (!vocabulary_.is_added(id)) vocab += spell_bytes(vocabulary_.tokens[id]);
  }
  nlohmann::ordered_json special = nlohmann::ordered_json::object(), added = special;
  for (const auto& [text, token] : vocabulary_.added) {
    special[text] = token.id;
    if (token != AddedToken{.id = token.id})
      added[text] = {{"special", token.special}, {"normalized", token.normalized}};
  }
  nlohmann::ordered_json json{{"type", "bpe"},
                              {"vocab", vocab},
                              {"merges", merge_lines(vocabulary_)},
                              {"special", special}};
  if (!added.empty()) json["added"] = added;
  return json;
}

std::shared_ptr<const BpeTokenizer> BpeTokenizer::from_json(const nlohmann::ordered_json& json,
                                                            std::string_view name) {
  auto text = [&](const char* key) {
    auto found = json.find(key);
    check(found != json.end() && found->is_string(),
          "{}: a tokenizer of type \"bpe\" needs the text \"{}\"; the file is damaged", name, key);
    return std::string_view(*found->get_ptr<const std::string*>());
  };
  std::string_view vocab = text("vocab");
  BpeVocabularyBuilder builder;
  int64_t id = 0;
  for (size_t at = 0; at <= vocab.size(); ++id) {
    std::string_view token = vocab.substr(at, vocab.find(' ', at) - at);
    if (!token.empty()) builder.add_token(token, id, name);
    at += token.size() + 1;
  }
  auto special = json.find("special");
  check(special != json.end() && special->is_object(),
        "{}: a tokenizer of type \"bpe\" needs \"special\"; the file is damaged", name);
  for (const auto& [token, token_id] : special->items()) {
    check(token_id.is_number_integer(), "{}: the id of \"{}\" must be an integer", name, token);
    builder.add_added(token, token_id.get<int64_t>(), added_kind(json, token, name), name);
  }
  builder.add_merges(text("merges"), fmt::format("{}: merges", name));
  return std::make_shared<BpeTokenizer>(builder.finish(name), name);
}

}  // namespace folio

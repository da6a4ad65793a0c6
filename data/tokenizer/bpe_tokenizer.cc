#include "data/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/check.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/pretokenizer.h"
#include "data/utf8.h"

namespace folio {
namespace {

using IdOf = std::unordered_map<std::string_view, int32_t>;

IdOf ids_by_bytes(const BpeVocabulary& vocabulary, std::string_view name) {
  IdOf ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (vocabulary.is_special(id)) continue;
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

// The special tokens in a text, the first first and at one place the longest.
class SpecialFinder {
 public:
  struct Found {
    size_t at, bytes;
    int32_t id;
  };

  SpecialFinder(const std::map<std::string, int32_t>& special, std::string_view text)
      : text_(text) {
    for (const auto& [spelling, id] : special)
      tokens_.push_back({spelling, id, text.find(spelling)});
  }
  std::optional<Found> next(size_t from) {
    const Token* best = nullptr;
    for (Token& token : tokens_) {
      if (token.at < from) token.at = text_.find(token.spelling, from);
      if (token.at == text_.npos || (best && token.at > best->at)) continue;
      if (!best || token.at < best->at || token.spelling.size() > best->spelling.size())
        best = &token;
    }
    if (!best) return {};
    return Found{best->at, best->spelling.size(), best->id};
  }

 private:
  struct Token {
    std::string_view spelling;
    int32_t id;
    size_t at;  // where it is next
  };
  std::string_view text_;
  std::vector<Token> tokens_;
};

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

BpeTokenizer::BpeTokenizer(BpeVocabulary vocabulary, std::string_view name)
    : vocabulary_(std::move(vocabulary)), pairs_(byte_pairs(vocabulary_, name)) {
  auto found = vocabulary_.special.find("<|endoftext|>");
  if (found != vocabulary_.special.end()) end_of_text_ = found->second;
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text, SpecialTokens special) const {
  Ids ids(text.size() / 3 + 64);
  std::unique_ptr<PretokenCache> cache = caches_.take();
  size_t at = 0;
  if (special == SpecialTokens::allowed) {
    SpecialFinder finder(vocabulary_.special, text);
    while (auto found = finder.next(at)) {
      encode_text(text.substr(at, found->at - at), *cache, ids);
      ids.push(found->id);
      at = found->at + found->bytes;
    }
  }
  encode_text(text.substr(at), *cache, ids);
  caches_.give_back(std::move(cache));
  return ids.take();
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
// nothing for a special one, "merges": as in merges.txt, "special": {"<|endoftext|>": 50256}}
nlohmann::ordered_json BpeTokenizer::to_json() const {
  std::string vocab;
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    if (id > 0) vocab += ' ';
    if (!vocabulary_.is_special(id)) vocab += spell_bytes(vocabulary_.tokens[id]);
  }
  return {{"type", "bpe"},
          {"vocab", vocab},
          {"merges", merge_lines(vocabulary_)},
          {"special", vocabulary_.special}};
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
    builder.add_special(token, token_id.get<int64_t>(), name);
  }
  builder.add_merges(text("merges"), fmt::format("{}: merges", name));
  return std::make_shared<BpeTokenizer>(builder.finish(name), name);
}

}  // namespace folio

#include "data/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <unordered_map>

#include "core/check.h"
#include "data/text/nfc.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_alphabet.h"

namespace folio {
namespace {

// Between documents: GPT-2's, which Qwen and SmolLM have too, else Llama 3's.
constexpr std::string_view ends_of_text[] = {end_of_text_token, "<|end_of_text|>"};

size_t index_of(char byte) { return static_cast<unsigned char>(byte); }

}  // namespace

BpeTokenizer::IdOf BpeTokenizer::ids_by_bytes(std::string_view name) const {
  IdOf ids;
  ids.reserve(vocabulary_.tokens.size());
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    const std::string& token = vocabulary_.tokens[id];
    if (!vocabulary_.is_in_model(id)) continue;
    bool is_new = !token.empty() && ids.emplace(token, int32_t(id)).second;
    check(is_new, "{}: token {} ({}) is empty or there twice", name, id, SpelledExcerpt{token});
  }
  return ids;
}

void BpeTokenizer::find_missing(const IdOf& ids, std::string_view name) {
  for (size_t byte = 0; byte < 256; ++byte) {
    auto found = ids.find(std::string(1, char(byte)));
    missing_[byte] = found == ids.end();
    any_missing_ |= missing_[byte];
    bytes_[byte] = missing_[byte] ? -1 : found->second;
  }
  check(!std::ranges::all_of(missing_, std::identity()),
        "{}: has no token for any byte, so it is no byte-level BPE", name);
  if (!any_missing_) settings_.unk_token.clear();
  if (settings_.unk_token.empty()) {
    settings_.fuse_unk = false;
    return;
  }
  auto added = vocabulary_.added.find(settings_.unk_token);
  auto bytes = spelled_bytes(settings_.unk_token);
  auto plain = bytes ? ids.find(*bytes) : ids.end();
  bool known = added != vocabulary_.added.end() || plain != ids.end();
  check(known, "{}: \"unk_token\" is \"{}\", which is not in the vocabulary", name,
        Excerpt{settings_.unk_token});
  int32_t id = added != vocabulary_.added.end() ? added->second.id : plain->second;
  for (size_t byte = 0; byte < 256; ++byte)
    if (missing_[byte]) bytes_[byte] = id;
}

BytePairs BpeTokenizer::byte_pairs(const IdOf& ids, std::string_view name) {
  std::vector<MergeRule> rules;
  std::vector<bool> merged(vocabulary_.tokens.size());  // by id: a merge takes or gives it
  rules.reserve(vocabulary_.merges.size());
  for (auto [left, right] : vocabulary_.merges) {
    const std::string &a = vocabulary_.tokens.at(size_t(left)),
                      &b = vocabulary_.tokens.at(size_t(right));
    std::string both = a + b;
    auto found = ids.find(both);
    check(found != ids.end(), "{}: merge {} ({} {}) gives {}, which is not in the vocabulary", name,
          rules.size() + 1, SpelledExcerpt{a}, SpelledExcerpt{b}, SpelledExcerpt{both});
    rules.push_back({left, right, found->second});
    for (int32_t id : {left, right, found->second}) merged[size_t(id)] = true;
  }
  auto sorted = vocabulary_.merges;
  std::ranges::sort(sorted);
  auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end())
    fail("{}: the merge {} {} is there twice", name,
         SpelledExcerpt{vocabulary_.tokens[size_t(twice->first)]},
         SpelledExcerpt{vocabulary_.tokens[size_t(twice->second)]});
  // Where nothing gives it the model's share in an added token says nothing.
  for (auto& [text, token] : vocabulary_.added)
    token.in_model &= settings_.ignore_merges || text.size() == 1 || merged[size_t(token.id)];
  return BytePairs(bytes_, rules);
}

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

BpeTokenizer::BpeTokenizer(BpeVocabulary vocabulary, std::string_view name, BpeSettings settings)
    : vocabulary_(std::move(vocabulary)),
      settings_(std::move(settings)),
      pairs_([&] {
        IdOf ids = ids_by_bytes(name);
        find_missing(ids, name);
        BytePairs pairs = byte_pairs(ids, name);
        if (settings_.ignore_merges) whole_ = std::move(ids);
        return pairs;
      }()),
      pretokenizer_(settings_.steps, fmt::format("{}: \"pre_tokenizer\"", name)) {
  for (std::string_view text : ends_of_text) {
    auto found = vocabulary_.added.find(std::string(text));
    if (found != vocabulary_.added.end() && !end_of_text_) end_of_text_ = found->second.id;
  }
  for (const auto& [text, token] : vocabulary_.added) {
    auto normal = token.normalized && settings_.nfc ? nfc(text) : std::nullopt;
    added_[token.normalized].add(normal.value_or(text), token);
  }
  for (int32_t id : settings_.starts)
    check(id >= 0 && id < vocab_size(),
          "{}: \"post_processor\" puts token {} before a text; the vocabulary's ids are 0 to {}",
          name, id, vocab_size() - 1);
}

std::vector<std::string> BpeTokenizer::start_spellings() const {
  std::vector<std::string> spellings;
  for (int32_t id : settings_.starts) {
    const std::string& token = vocabulary_.tokens[size_t(id)];
    spellings.push_back(vocabulary_.is_added(size_t(id)) ? token : spell_bytes(token));
  }
  return spellings;
}

// Calls on_added(id) for each added token, and on_text(text) for what is between them.
template <class OnAdded, class OnText>
void BpeTokenizer::each_part(std::string_view text, SpecialTokens special, OnAdded&& on_added,
                             OnText&& on_text) const {
  const bool counts = special == SpecialTokens::allowed;
  auto each = [&](const AddedFinder& finder, std::string_view part, auto&& between) {
    size_t at = 0;
    if (finder.any(counts))
      finder.each(part, counts, [&](const AddedFinder::Found& found) {
        if (found.begin > at) between(part.substr(at, found.begin - at));
        on_added(found.id);
        at = found.end;
      });
    if (at < part.size()) between(part.substr(at));
  };
  each(added_[0], text, [&](std::string_view part) {
    if (!settings_.nfc) return each(added_[1], part, on_text);
    size_t valid = utf8_prefix(part);
    auto normal = nfc(part.substr(0, valid));
    if (!normal) return each(added_[1], part, on_text);
    *normal += part.substr(valid);
    each(added_[1], *normal, on_text);
  });
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text, SpecialTokens special) const {
  Ids ids(text.size() / 3 + 64);
  std::unique_ptr<PretokenCache> cache = caches_.take();
  each_part(
      text, special, [&](int32_t id) { ids.push(id); },
      [&](std::string_view part) { encode_text(part, *cache, ids); });
  caches_.give_back(std::move(cache));
  return ids.take();
}

void BpeTokenizer::encode_text(std::string_view text, PretokenCache& cache, Ids& ids) const {
  size_t valid = utf8_prefix(text);
  ids.last_pretoken = ids.size();
  pretokenizer_.each(text.substr(0, valid), [&](std::string_view around, size_t at, size_t bytes) {
    std::string_view pretoken = around.substr(at, bytes);
    int32_t* out = ids.room(std::max(bytes, PretokenCache::max_ids));
    size_t count;
    ids.last_pretoken = ids.size();
    if (bytes > PretokenCache::max_bytes) {
      count = encode_pretoken(pretoken, out);
    } else {
      PretokenCache::Key key = PretokenCache::key(around, at, bytes);
      PretokenCache::Entry& entry = cache[key];
      if (entry.key == key) {
        count = entry.count;
        std::copy_n(entry.ids, 4, out);
        if (count > 4) std::copy_n(entry.ids + 4, PretokenCache::max_ids - 4, out + 4);
      } else {
        count = encode_pretoken(pretoken, out);
        if (count <= PretokenCache::max_ids) {
          entry.key = key;
          entry.count = uint32_t(count);
          std::copy_n(out, count, entry.ids);
        }
      }
    }
    ids.wrote(count);
  });
  if (valid < text.size()) encode_broken(text.substr(valid), ids);
}

size_t BpeTokenizer::encode_pretoken(std::string_view pretoken, int32_t* out) const {
  if (settings_.ignore_merges) {
    auto found = whole_.find(pretoken);
    if (found != whole_.end()) {
      *out = found->second;
      return 1;
    }
  }
  if (!any_missing_) return pairs_.encode(pretoken, out);
  return pairs_.encode(without_missing(pretoken), out);
}

// Those that become the unknown token stay, one for several in a row where they fuse.
std::string BpeTokenizer::without_missing(std::string_view pretoken) const {
  std::string kept;
  bool before = false;
  for (char byte : pretoken) {
    bool missing = missing_[index_of(byte)];
    if (!missing || (!settings_.unk_token.empty() && !(before && settings_.fuse_unk))) kept += byte;
    before = missing;
  }
  return kept;
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
  ids.wrote(encode_pretoken(bytes, ids.room(bytes.size())));
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

std::map<unsigned char, int64_t> BpeTokenizer::lost_bytes(std::string_view text,
                                                          SpecialTokens special) const {
  std::map<unsigned char, int64_t> lost;
  auto is_missing = [&](char byte) { return missing_[index_of(byte)]; };
  auto count = [&](std::string_view pretoken) {
    if (whole_.contains(pretoken)) return;
    for (char byte : pretoken)
      if (is_missing(byte)) ++lost[static_cast<unsigned char>(byte)];
  };
  // Normalization makes few bytes of many, and others.
  bool none = !settings_.unk_token.empty() || !any_missing_ ||
              (!settings_.nfc && std::ranges::none_of(text, is_missing));
  if (none) return lost;
  each_part(
      text, special, [](int32_t) {},
      [&](std::string_view part) {
        size_t valid = utf8_prefix(part);
        pretokenizer_.each(part.substr(0, valid),
                           [&](std::string_view around, size_t at, size_t bytes) {
                             count(around.substr(at, bytes));
                           });
        count(part.substr(valid));
      });
  return lost;
}

size_t BpeTokenizer::last_safe_cut(std::string_view text) const {
  size_t cut = pretokenizer_.last_safe_cut(text);
  while (cut > 0 && std::ranges::any_of(added_, [&](const AddedFinder& finder) {
           return finder.takes_what_follows(text.substr(0, cut));
         }))
    cut = pretokenizer_.last_safe_cut(text.substr(0, cut));
  return cut;
}

}  // namespace folio

#include "data/tokenizer/bpe_vocabulary.h"

#include <algorithm>

#include "core/check.h"
#include "data/tokenizer/byte_alphabet.h"

namespace folio {
namespace {

constexpr int64_t max_tokens = 1 << 24;

}  // namespace

void BpeVocabularyBuilder::add_token(std::string_view spelling, int64_t id,
                                     const FilePlace& where) {
  auto bytes = spelled_bytes(spelling);
  check(bytes && !bytes->empty(),
        "{}: token \"{}\" is not in GPT-2's byte alphabet (where a space is \"\u0120\"); is this a "
        "byte-level BPE vocabulary?",
        where, Excerpt{spelling});
  check(0 <= id && id < max_tokens, "{}: token \"{}\" has id {}; ids are 0 to {}", where,
        Excerpt{spelling}, id, max_tokens - 1);
  auto [other, is_new] = tokens_.emplace(id, *bytes);
  check(is_new, "{}: id {} is given to \"{}\" and to \"{}\"", where, id,
        SpelledExcerpt{other->second}, Excerpt{spelling});
  is_new = ids_.emplace(spelling, int32_t(id)).second;
  check(is_new, "{}: token \"{}\" is there twice", where, Excerpt{spelling});
}

void BpeVocabularyBuilder::add_added(std::string_view text, int64_t id, AddedToken kind,
                                     const FilePlace& where) {
  check(!text.empty() && 0 <= id && id < max_tokens,
        "{}: special token \"{}\" has id {}; it needs a text, and an id from 0 to {}", where,
        Excerpt{text}, id, max_tokens - 1);
  // The vocabulary may hold it too, under its own text.
  auto [other, is_new] = tokens_.emplace(id, text);
  check(is_new || other->second == text, "{}: id {} is given to \"{}\" and to \"{}\"", where, id,
        SpelledExcerpt{other->second}, Excerpt{text});
  kind.id = int32_t(id);
  auto [same, is_new_text] = added_.emplace(text, kind);
  check(is_new_text || same->second.id == id, "{}: special token \"{}\" has ids {} and {}", where,
        Excerpt{text}, same->second.id, id);
}

void BpeVocabularyBuilder::add_to_model(const std::string& text, const FilePlace& where) {
  auto bytes = spelled_bytes(text);
  if (!bytes) return;  // no bytes are spelled so
  check(*bytes == text,
        "{}: token \"{}\" stands for other bytes in the vocabulary than as an added token", where,
        Excerpt{text});
  AddedToken& token = added_.at(text);
  token.in_model = true;
  ids_.emplace(text, token.id);
}

bool BpeVocabularyBuilder::is_added(const std::string& text, int64_t id) const {
  auto found = added_.find(text);
  return found != added_.end() && found->second.id == id;
}

void BpeVocabularyBuilder::add_merge(std::string_view left, std::string_view right,
                                     const FilePlace& where) {
  auto id = [&](std::string_view part) {
    auto found = ids_.find(part);
    check(found != ids_.end(), "{}: \"{}\" is not in the vocabulary; do the files belong together?",
          where, Excerpt{part});
    return found->second;
  };
  merges_.emplace_back(id(left), id(right));
}

void BpeVocabularyBuilder::add_merges(std::string_view text, std::string_view name) {
  for (size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if ((number == 1 && line.starts_with("#version")) || (line.empty() && text.empty())) continue;
    FilePlace where(name, number);
    size_t space = line.find(' ');
    check(space != line.npos && space > 0 && space + 1 < line.size() &&
              line.find(' ', space + 1) == line.npos,
          "{}: a merge must be two tokens with a space between them, got \"{}\"", where,
          Excerpt{line});
    add_merge(line.substr(0, space), line.substr(space + 1), where);
  }
}

BpeVocabulary BpeVocabularyBuilder::finish(std::string_view name) const {
  for (const auto& [text, token] : added_) {
    auto plain = ids_.find(text);
    if (plain != ids_.end() && plain->second != token.id)
      fail("{}: special token \"{}\" has id {}, and the vocabulary gives its text to id {} too",
           name, Excerpt{text}, token.id, plain->second);
  }
  BpeVocabulary vocabulary{{}, merges_, added_};
  vocabulary.tokens.reserve(tokens_.size());
  for (size_t id = 0; id < tokens_.size(); ++id) {
    auto token = tokens_.find(int64_t(id));
    check(token != tokens_.end(), "{}: has {} tokens, but none with id {}", name, tokens_.size(),
          id);
    vocabulary.tokens.push_back(token->second);
  }
  return vocabulary;
}

std::string merge_lines(const BpeVocabulary& vocabulary) {
  std::string lines;
  for (auto [left, right] : vocabulary.merges)
    lines += spell_bytes(vocabulary.tokens[size_t(left)]) + ' ' +
             spell_bytes(vocabulary.tokens[size_t(right)]) + '\n';
  return lines;
}

}  // namespace folio

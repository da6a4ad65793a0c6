#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/tokenizer/file_place.h"

namespace folio {

// GPT-2's token between documents.
inline constexpr std::string_view end_of_text_token = "<|endoftext|>";

// A token that is found in a text by its spelling, before anything is cut or merged.
struct AddedToken {
  int32_t id = 0;
  bool special = true;  // found only where special tokens are allowed; others are always
  bool normalized =
      false;            // looked for in what the others leave of a text, once that is normalized
  bool lstrip = false;  // takes the white space before it along
  bool rstrip = false;  // and that after it
  bool single_word = false;  // found only where no letter, digit or the like is beside it
  bool in_model = false;     // merges, or ignore_merges, give it too

  bool operator==(const AddedToken&) const = default;
};

// What a byte-level BPE tokenizer is made of.
struct BpeVocabulary {
  std::vector<std::string> tokens;                  // by id: the bytes
  std::vector<std::pair<int32_t, int32_t>> merges;  // by rank: the ids of the two parts
  std::map<std::string, AddedToken> added;          // e.g. <|endoftext|>; in `tokens` too

  // By its id: a plain token may stand for the same bytes, two spaces for instance.
  bool is_added(size_t id) const { return find_added(id) != nullptr; }
  bool is_in_model(size_t id) const {
    const AddedToken* token = find_added(id);
    return !token || token->in_model;
  }

 private:
  const AddedToken* find_added(size_t id) const {
    auto found = added.find(tokens[id]);
    return found != added.end() && size_t(found->second.id) == id ? &found->second : nullptr;
  }
};

// Puts a vocabulary together from a file's entries, which may come in any order but for the tokens
// before the merges. `where` is what an Error calls an entry's place; tokens are in the byte
// alphabet.
class BpeVocabularyBuilder {
 public:
  void add_token(std::string_view spelling, int64_t id, const FilePlace& where);
  // That the vocabulary has an added token too, under its own text.
  void add_to_model(const std::string& text, const FilePlace& where);
  // A special token, or that one of the tokens is special.
  void add_special(std::string_view text, int64_t id, const FilePlace& where) {
    add_added(text, id, {}, where);
  }
  // The same for any added token, whose `kind` is all but its id.
  void add_added(std::string_view text, int64_t id, AddedToken kind, const FilePlace& where);
  bool is_added(const std::string& text, int64_t id) const;
  void add_merge(std::string_view left, std::string_view right, const FilePlace& where);
  // The lines of a merges.txt or vocab.bpe file, `name`: "LEFT RIGHT", best first.
  void add_merges(std::string_view text, std::string_view name);
  // Error unless the ids are 0, 1, 2 and so on.
  BpeVocabulary finish(std::string_view name) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;  // looks parts of a line up without a copy
  };
  std::unordered_map<int64_t, std::string> tokens_;                      // bytes
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;  // by spelling
  std::map<std::string, AddedToken> added_;
  std::vector<std::pair<int32_t, int32_t>> merges_;
};

// The merges as the lines that add_merges reads, without a heading.
std::string merge_lines(const BpeVocabulary& vocabulary);

}  // namespace folio

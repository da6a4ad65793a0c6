#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/byte_alphabet.h"

// What a checkpoint or a dataset keeps of a BpeTokenizer.
namespace folio {
namespace {

using Json = nlohmann::json;  // not ordered_json, whose every insertion looks at every key
using Ordered = nlohmann::ordered_json;

// GPT-2's way, and another, which a reader that knows only the first must not take for it.
constexpr const char* gpt2_type = "bpe";
constexpr const char* type_with_settings = "byte_level_bpe";

constexpr std::pair<const char*, bool AddedToken::*> flags[] = {
    {"special", &AddedToken::special},         {"normalized", &AddedToken::normalized},
    {"lstrip", &AddedToken::lstrip},           {"rstrip", &AddedToken::rstrip},
    {"single_word", &AddedToken::single_word}, {"in_model", &AddedToken::in_model}};
constexpr size_t gpt2_flags = 2;  // which are always said

// What to_json's "added" says of a token; without a word it is special.
AddedToken added_kind(const Json& json, const std::string& token, std::string_view name) {
  auto added = json.find("added");
  if (added == json.end() || !added->is_object() || !added->contains(token)) return {};
  const Json& kind = added->at(token);
  AddedToken read;
  for (size_t i = 0; i < std::size(flags); ++i) {
    auto [key, flag] = flags[i];
    bool said = kind.is_object() && kind.contains(key);
    check(said ? kind[key].is_boolean() : kind.is_object() && i >= gpt2_flags,
          "{}: \"added\" needs \"{}\" of \"{}\"; the file is damaged", name, key, token);
    if (said) read.*flag = kind[key].get<bool>();
  }
  return read;
}

// A key that the object does not have yet.
void append(Ordered& object, const std::string& key, Ordered value) {
  using Members = Ordered::object_t::Container;
  static_cast<Members&>(object.get_ref<Ordered::object_t&>()).emplace_back(key, std::move(value));
}

}  // namespace

// {"type": "bpe", "vocab": the tokens by id in the byte alphabet, with a space between them and
// nothing for an added one, "merges": as in merges.txt, "special": {"<|endoftext|>": 50256}, of all
// added ones, and, of those that are not like it, "added": {"<x>": {"special": false, ...}}}. What
// is not GPT-2's way has its own type, and "settings" with tokenizer.json's keys.
Ordered BpeTokenizer::to_json() const {
  std::string vocab;
  for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
    if (id > 0) vocab += ' ';
    if (!vocabulary_.is_added(id)) vocab += spell_bytes(vocabulary_.tokens[id]);
  }
  bool is_gpt2s = settings_ == BpeSettings{} && !any_missing_;
  Ordered special = Ordered::object(), added = special;
  for (const auto& [text, token] : vocabulary_.added) {
    append(special, text, token.id);
    if (token == AddedToken{.id = token.id}) continue;
    Ordered kind;
    for (size_t i = 0; i < std::size(flags); ++i) {
      auto [key, flag] = flags[i];
      if (i < gpt2_flags || token.*flag) kind[key] = token.*flag;
      if (i >= gpt2_flags && token.*flag) is_gpt2s = false;
    }
    append(added, text, std::move(kind));
  }
  Ordered json{{"type", is_gpt2s ? gpt2_type : type_with_settings},
               {"vocab", vocab},
               {"merges", merge_lines(vocabulary_)},
               {"special", special}};
  if (!added.empty()) json["added"] = added;
  if (!is_gpt2s) {
    json["settings"] = settings_json(settings_, start_spellings());
    json["settings"]["model"] = model_json(settings_);
  }
  return json;
}

std::shared_ptr<const BpeTokenizer> BpeTokenizer::from_json(const Json& json,
                                                            std::string_view name) {
  auto text = [&](const char* key) {
    auto found = json.find(key);
    check(found != json.end() && found->is_string(),
          "{}: a byte-level tokenizer needs the text \"{}\"; the file is damaged", name, key);
    return std::string_view(*found->get_ptr<const std::string*>());
  };
  BpeSettings settings;
  if (json.at("type") == type_with_settings) {
    auto found = json.find("settings");
    bool whole = found != json.end() && found->is_object() && found->contains("model") &&
                 found->at("model").is_object();
    check(whole, "{}: the tokenizer has no \"settings\"; the file is damaged", name);
    settings = read_settings(nlohmann::json(*found), std::string(name));
  }
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
        "{}: a byte-level tokenizer needs \"special\"; the file is damaged", name);
  for (const auto& [token, token_id] : special->items()) {
    check(token_id.is_number_integer(), "{}: the id of \"{}\" must be an integer", name, token);
    AddedToken kind = added_kind(json, token, name);
    bool in_model = std::exchange(kind.in_model, false);
    builder.add_added(token, token_id.get<int64_t>(), kind, name);
    if (in_model) builder.add_to_model(token, name);
  }
  builder.add_merges(text("merges"), fmt::format("{}: merges", name));
  return std::make_shared<BpeTokenizer>(builder.finish(name), name, std::move(settings));
}

}  // namespace folio

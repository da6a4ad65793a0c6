#include "data/tokenizer/stated_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/check.h"
#include "data/files/files.h"
#include "data/text/json_keys.h"
#include "data/text/parse_json.h"
#include "data/tokenizer/bpe_settings.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// transformers' SPECIAL_TOKENS_ATTRIBUTES, in their order.
constexpr std::string_view named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                      "pad_token", "cls_token", "mask_token"};

// Every other key that tokenizer_config.json may have.
constexpr std::string_view known_keys[] = {
    // what changes ids, and is looked at
    "add_prefix_space", "add_bos_token", "add_eos_token", "do_lower_case", "split_special_tokens",
    "auto_map", "tokenizer_class", "added_tokens_decoder", "additional_special_tokens",
    "extra_special_tokens", "folio_digest",
    // how transformers decodes
    "clean_up_tokenization_spaces", "errors", "spaces_between_special_tokens", "trim_offsets",
    // how it cuts and pads
    "model_max_length", "max_len", "max_length", "stride", "truncation_side", "truncation_strategy",
    "padding_side", "pad_to_multiple_of", "pad_token_type_id", "model_input_names",
    "return_token_type_ids",
    // what it does with conversations
    "chat_template", "response_template", "processor_class",
    // where it finds its files, and how it loads them
    "name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "merges_file",
    "use_fast", "from_slow", "legacy", "backend", "is_local", "local_files_only", "verbose",
    "init_inputs", "vocab_size", "sp_model_kwargs", "use_default_system_prompt"};

constexpr std::string_view known_classes[] = {
    "GPT2Tokenizer",       "GPT2TokenizerFast",       "Qwen2Tokenizer",   "Qwen2TokenizerFast",
    "PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"};

constexpr const char* other_ids = "; transformers would make other ids of a text than folio";

class Reader {
 public:
  Reader(const fs::path& folder, const Json* tokenizer_json, const Json& vocab)
      : folder_(folder), tokenizer_json_(tokenizer_json), vocab_(vocab) {}

  std::vector<StatedToken> run() {
    Json config = object("tokenizer_config.json"), map = object("special_tokens_map.json");
    check_settings(config, path("tokenizer_config.json"));
    check_map(map, path("special_tokens_map.json"));
    if (tokenizer_json_) add_listed(*tokenizer_json_, path("tokenizer.json"));
    add_decoder(config);
    add_added_tokens(object("added_tokens.json"), path("added_tokens.json"));
    bool is_gpt2 = config.value("tokenizer_class", Json()).dump().starts_with("\"GPT2Tokenizer");
    // transformers leaves special_tokens_map.json where it has added_tokens_decoder.
    if (!config.contains("added_tokens_decoder")) merge(config, map);
    // Its GPT2Tokenizer's default for bos_token, eos_token and unk_token. Where the vocabulary
    // lacks it transformers adds a token, for which a model has no row; folio does without.
    if ((is_gpt2 || !tokenizer_json_) && vocab_.contains(end_of_text_token))
      add_special({std::string(end_of_text_token), {}, {}, folder_.string()});
    add_named(config);
    give_ids();
    return std::move(tokens_);
  }

 private:
  std::string path(const char* name) const { return (folder_ / name).string(); }

  // A file's object; an empty one without the file.
  Json object(const char* name) const {
    if (!fs::exists(folder_ / name)) return Json::object();
    Json json = parse_json<Json>(read_file(path(name)), path(name));
    check(json.is_object(), "{}: must be a JSON object, got {}", path(name), shown(json));
    return json;
  }

  static bool is_token(const std::string& key, const Json& value) {
    return key.ends_with("_token") && (value.is_string() || value.is_object() || value.is_null());
  }

  // Whether tokenizer.json says the same as a setting that is on.
  bool is_in_tokenizer_json(std::string_view setting) const {
    if (!tokenizer_json_) return false;
    std::string where = path("tokenizer.json");
    if (setting == "add_bos_token") return !read_starts(*tokenizer_json_, where).empty();
    if (setting != "add_prefix_space" || !tokenizer_json_->contains("pre_tokenizer")) return false;
    for (const PretokenizerStep& step : read_steps(tokenizer_json_->at("pre_tokenizer"), where))
      if (auto* level = std::get_if<ByteLevelStep>(&step)) return level->add_prefix_space;
    return false;
  }

  void check_settings(const Json& config, const std::string& where) const {
    for (const auto& [key, value] : config.items()) {
      if (!is_token(key, value)) check_key(key, known_keys, where);
    }
    for (const char* key : {"add_prefix_space", "add_bos_token", "add_eos_token", "do_lower_case",
                            "split_special_tokens", "auto_map", "init_inputs"}) {
      auto found = config.find(key);
      bool none =
          found == config.end() || found->is_null() || *found == false || *found == Json::array();
      if (!none && !(*found == true && is_in_tokenizer_json(key)))
        fail("{}: \"{}\" is {}{}. If the model was not trained so, take the key out", where, key,
             shown(*found), other_ids);
    }
    auto kind = config.find("tokenizer_class");
    bool known = kind == config.end() || kind->is_null() ||
                 std::ranges::find(known_classes, *kind) != std::end(known_classes);
    if (!known)
      fail(
          "{}: \"tokenizer_class\" is {}; folio reads GPT2Tokenizer, Qwen2Tokenizer and "
          "PreTrainedTokenizerFast",
          where, shown(*kind));
  }

  static void check_map(const Json& map, const std::string& where) {
    constexpr std::string_view lists[] = {"additional_special_tokens", "extra_special_tokens"};
    for (const auto& [key, value] : map.items())
      if (!is_token(key, value)) check_key(key, lists, where);
  }

  static void merge(Json& config, const Json& map) {
    for (const auto& [key, value] : map.items())
      if (!value.is_null()) config[key] = value;
  }

  // "<x>", or {"content": "<x>", "lstrip": false, ...}.
  static StatedToken token(const Json& json, const std::string& where, bool otherwise_special) {
    if (json.is_string()) return {json.get<std::string>(), {}, {.special = true}, where};
    bool whole = json.is_object() && json.contains("content") && json["content"].is_string();
    if (!whole) fail("{} must be a text or {{\"content\": \"...\"}}, got {}", where, shown(json));
    constexpr std::string_view keys[] = {"id",          "content", "special", "normalized",
                                         "single_word", "lstrip",  "rstrip"};
    check_keys(json, keys, where);
    StatedToken token{json["content"].get<std::string>(), {}, {}, where};
    auto truth = [&](const char* key, bool otherwise) {
      auto found = json.find(key);
      if (found == json.end() || found->is_null()) return otherwise;
      if (!found->is_boolean())
        fail("{}: \"{}\" must be true or false, got {}", where, key, shown(*found));
      return found->get<bool>();
    };
    token.kind.single_word = truth("single_word", false);
    token.kind.lstrip = truth("lstrip", false);
    token.kind.rstrip = truth("rstrip", false);
    token.kind.special = truth("special", otherwise_special);
    token.kind.normalized = truth("normalized", !token.kind.special);
    return token;
  }

  // The first that says of a token what it is holds.
  StatedToken& add(StatedToken token) {
    auto [place, fresh] = places_.emplace(token.text, tokens_.size());
    if (fresh) return tokens_.emplace_back(std::move(token));
    StatedToken& same = tokens_[place->second];
    if (token.id && !same.id) same.id = token.id, same.where = token.where;
    check(!token.id || token.id == same.id, "{}: token \"{}\" has id {}, in {} it has id {}",
          token.where, Excerpt{token.text}, token.id.value_or(0), same.where, same.id.value_or(0));
    return same;
  }
  // But special is what anybody calls so.
  void add_special(StatedToken token) { add(std::move(token)).kind.special = true; }

  // tokenizer.json's "added_tokens".
  void add_listed(const Json& json, const std::string& file) {
    auto list = json.find("added_tokens");
    if (list == json.end() || list->is_null()) return;
    std::string where = file + ": \"added_tokens\"";
    if (!list->is_array()) fail("{} must be an array, got {}", where, shown(*list));
    for (const Json& entry : *list) {
      bool whole = entry.is_object() && entry.contains("content") && entry["content"].is_string() &&
                   entry.contains("id") && entry["id"].is_number_integer();
      if (!whole)
        fail("{} needs {{\"id\": ..., \"content\": \"...\"}}, got {}", where, shown(entry));
      StatedToken stated = token(entry, where, true);
      stated.id = entry["id"].get<int64_t>();
      add(std::move(stated));
    }
  }

  // {"50256": {"content": "<|endoftext|>", ...}, ...}, which transformers goes through by id.
  void add_decoder(const Json& config) {
    auto decoder = config.find("added_tokens_decoder");
    if (decoder == config.end() || decoder->is_null()) return;
    std::string where = path("tokenizer_config.json") + ": \"added_tokens_decoder\"";
    if (!decoder->is_object()) fail("{} must be an object, got {}", where, shown(*decoder));
    std::map<int64_t, const Json*> by_id;
    for (const auto& [key, value] : decoder->items()) {
      bool number = !key.empty() && key.size() < 10 &&
                    key.find_first_not_of("0123456789") == std::string::npos;
      check(number, "{}: \"{}\" is not an id", where, Excerpt{key});
      by_id[std::stoll(key)] = &value;
    }
    for (const auto& [id, value] : by_id) {
      StatedToken stated = token(*value, fmt::format("{}[\"{}\"]", where, id), false);
      stated.id = id;
      add(std::move(stated));
    }
  }

  // {"<x>": 50257, ...}: special only if a file calls them so.
  void add_added_tokens(const Json& json, const std::string& where) {
    std::vector<StatedToken> stated;
    for (const auto& [text, id] : json.items()) {
      if (!id.is_number_integer())
        fail("{}: the id of \"{}\" must be an integer, got {}", where, text, shown(id));
      stated.push_back({text, id.get<int64_t>(), {.special = false, .normalized = true}, where});
    }
    std::ranges::sort(stated, {}, &StatedToken::id);
    for (StatedToken& token : stated) add(std::move(token));
  }

  // bos_token and the like, then the lists of others.
  void add_named(const Json& json) {
    std::string file = path("tokenizer_config.json") + " or special_tokens_map.json";
    auto add_one = [&](const std::string& key, const Json& value) {
      if (value.is_null()) return;
      add_special(token(value, fmt::format("{}: \"{}\"", file, key), true));
    };
    for (std::string_view key : named)
      if (json.contains(key)) add_one(std::string(key), json[std::string(key)]);
    if (!json.contains("pad_token")) add_padding();
    for (const auto& [key, value] : json.items())
      if (is_token(key, value) && std::ranges::find(named, key) == std::end(named))
        add_one(key, value);
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
      if (!json.contains(key) || json[key].is_null()) continue;
      if (!json[key].is_array() && !json[key].is_object())
        fail("{}: \"{}\" must be an array, got {}", file, key, shown(json[key]));
      for (const Json& value : json[key]) add_one(key, value);
    }
  }

  // The token that tokenizer.json pads with becomes the pad_token.
  void add_padding() {
    if (!tokenizer_json_) return;
    const Json padding = tokenizer_json_->value("padding", Json());
    if (!padding.is_object() || !padding.contains("pad_token")) return;
    add_special(token(padding["pad_token"], path("tokenizer.json") + ": \"padding\"", true));
  }

  // As transformers does, token after token.
  void give_ids() {
    auto next = int64_t(vocab_.size());
    for (StatedToken& token : tokens_) {
      auto found = vocab_.find(token.text);
      bool in_vocab = found != vocab_.end() && found->is_number_integer();
      int64_t id = in_vocab ? found->get<int64_t>() : next;
      check(!token.id || token.id == id,
            "{}: token \"{}\" has id {}; transformers would give it {}, {}", token.where,
            Excerpt{token.text}, token.id.value_or(0), id,
            in_vocab ? "which is its id in the vocabulary" : "the next after those that there are");
      token.id = id;
      next = std::max(next, id + 1);
    }
  }

  const fs::path& folder_;
  const Json* tokenizer_json_;
  const Json& vocab_;
  std::vector<StatedToken> tokens_;
  std::unordered_map<std::string, size_t> places_;  // by text, in tokens_
};

}  // namespace

std::vector<StatedToken> stated_tokens(const fs::path& folder, const Json* tokenizer_json,
                                       const Json& vocab) {
  return Reader(folder, tokenizer_json, vocab).run();
}

std::string tokenizer_class(const fs::path& folder) {
  fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return "";
  Json config = parse_json<Json>(read_file(file.string()), file.string());
  if (!config.is_object()) return "";
  auto found = config.find("tokenizer_class");
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

void check_top_keys(const Json& json, const std::string& path) {
  constexpr std::string_view keys[] = {"version",       "truncation",     "padding",
                                       "added_tokens",  "normalizer",     "model",
                                       "pre_tokenizer", "post_processor", "decoder"};
  check_keys(json, keys, path);  // transformers cuts and pads only where its caller asks for it
}

}  // namespace folio

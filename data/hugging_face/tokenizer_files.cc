#include "data/hugging_face/tokenizer_files.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/check.h"
#include "data/files/files.h"
#include "data/text/json_keys.h"
#include "data/text/parse_json.h"
#include "data/text/utf8.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/bpe_settings.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/char_tokenizer.h"
#include "data/tokenizer/stated_tokens.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) { return json.dump(2) + "\n"; }

// What cuts a text into its characters, whatever they are.
Json cut_to_characters() {
  return {{"type", "Split"},
          {"pattern", {{"Regex", "[\\s\\S]"}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

// Cuts the text into its characters and looks each up whole. tokenizers 0.22 has no kind for just
// that; its WordLevel model refuses a character that is not in the vocabulary, as folio does.
Json character_tokenizer_json(const CharTokenizer& tokenizer) {
  Json vocab = Json::object();
  for (char32_t c : tokenizer.characters()) {
    std::string character;
    append_utf8(character, c);
    vocab[character] = vocab.size();
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", cut_to_characters()},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", "<unk>"}}}};
}

// What is not a matter of characters alone is refused.
void check_character_kind(const nlohmann::json& json, const fs::path& file) {
  std::string path = file.string();
  check_top_keys(json, path);
  check(!read_nfc(json, path) && read_starts(json, path).empty(),
        "{}: \"normalizer\" and \"post_processor\" must be null to read single characters", path);
  const auto& model = json.at("model");
  constexpr std::string_view keys[] = {"type", "vocab", "unk_token"};
  check_keys(model, keys, path + ": \"model\"");
  auto absent_or = [&](const char* key, const nlohmann::json& wanted) {
    auto found = json.find(key);
    check(found == json.end() || found->is_null() || *found == wanted,
          "{}: \"{}\" must be {} to read single characters, got {}", path, key, wanted.dump(),
          found == json.end() ? "" : shown(*found));
  };
  absent_or("pre_tokenizer", nlohmann::json(cut_to_characters()));
  absent_or("decoder", {{"type", "Fuse"}});
  for (const StatedToken& token : stated_tokens(file.parent_path(), &json, model.at("vocab")))
    check(model.at("vocab").contains(token.text),
          "{}: adds the token \"{}\" to a vocabulary of single characters; folio has no such "
          "tokenizer",
          token.where, Excerpt{token.text});
}

// What character_tokenizer_json wrote; null if `text` is a tokenizer.json of another kind.
std::shared_ptr<const Tokenizer> character_tokenizer(const std::string& text,
                                                     const fs::path& file) {
  if (text.find("\"WordLevel\"") == std::string::npos) return nullptr;  // spares parsing a BPE
  std::string path = file.string();
  auto json = parse_json<nlohmann::json>(text, path);
  check(json.is_object(), "{}: not a JSON object, so no tokenizer", path);
  const nlohmann::json model = json.value("model", nlohmann::json());
  if (!model.is_object() || model.value("type", nlohmann::json()) != "WordLevel") return nullptr;
  const nlohmann::json vocab = model.value("vocab", nlohmann::json());
  check(vocab.is_object(), "{}: its model has no vocab", path);
  check_character_kind(json, file);
  std::u32string characters(vocab.size(), U'\0');
  for (const auto& [token, id] : vocab.items()) {
    check(!token.empty() && decode_utf8(token, 0).bytes == int(token.size()),
          "{}: token \"{}\" is not one character; of WordLevel models folio reads those of "
          "characters",
          path, token);
    check(id.is_number_unsigned() && id.get<uint64_t>() < characters.size(),
          "{}: token \"{}\" has id {}; the ids of {} tokens are 0 to {}", path, token, id.dump(),
          characters.size(), characters.size() - 1);
    characters[id.get<size_t>()] = decode_utf8(token, 0).code_point;
  }
  return std::make_shared<CharTokenizer>(characters);
}

// By id, {"id", "content", "special", ...}, as tokenizers describes an added token.
std::map<int32_t, Json> added_tokens(const BpeVocabulary& vocabulary) {
  std::map<int32_t, Json> tokens;
  for (const auto& [text, token] : vocabulary.added)
    tokens[token.id] = {
        {"id", token.id},          {"content", text},        {"single_word", token.single_word},
        {"lstrip", token.lstrip},  {"rstrip", token.rstrip}, {"normalized", token.normalized},
        {"special", token.special}};
  return tokens;
}

}  // namespace

// Its vocab and merges are texts of JSON already, for an object of ordered_json looks through all
// its keys whenever it gets another.
std::string bpe_tokenizer_json(const BpeTokenizer& tokenizer) {
  const BpeVocabulary& vocabulary = tokenizer.vocabulary();
  const BpeSettings& settings = tokenizer.settings();
  Json added = Json::array();
  for (const auto& [id, token] : added_tokens(vocabulary)) added.push_back(token);
  std::vector<std::string> merges;
  std::istringstream lines(merge_lines(vocabulary));
  for (std::string line; std::getline(lines, line);) merges.push_back(line);
  Json around{
      {"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"added_tokens", added}};
  around.update(settings_json(settings, tokenizer.start_spellings()));
  std::string text = around.dump(), model = R"("type": "BPE")";
  text.pop_back();
  const Json options = model_json(settings);
  for (const auto& [key, value] : options.items())
    if (key != "type") model += fmt::format(R"(, "{}": {})", key, value.dump());
  // Only with ignore_merges does it matter whether an added token is the model's too.
  return fmt::format("{}, \"model\": {{{}, \"vocab\": {}, \"merges\": {}}}}}\n", text, model,
                     vocab_json(vocabulary, settings.ignore_merges), Json(merges).dump());
}

namespace {

// GPT2Tokenizer's files, whose every token, added or not, stands in vocab.json.
void add_gpt2_files(std::map<std::string, std::string>& files, Json& config,
                    const BpeTokenizer& bpe, int32_t end) {
  files["vocab.json"] = vocab_json(bpe.vocabulary());
  files["merges.txt"] = merges_txt(bpe.vocabulary());
  config["tokenizer_class"] = "GPT2Tokenizer";
  config["add_prefix_space"] = false;
  for (const char* key : {"bos_token", "eos_token", "unk_token"})
    config[key] = bpe.decode(std::span(&end, 1));
  for (auto& [id, token] : added_tokens(bpe.vocabulary())) {
    token.erase("id");
    config["added_tokens_decoder"][std::to_string(id)] = token;
  }
}

// A token that the template knows nothing of is null, lest the class give it a text of its own.
void add_chat(Json& config, const ChatFormat& chat) {
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"})
    config[key] = nullptr;
  for (const auto& [key, text] : chat.tokens)
    if (text) config[key] = *text;
  config["chat_template"] = parse_json<Json>(chat.templates, chat.where);
}

void add_tokenizer_json(std::map<std::string, std::string>& files, Json& config,
                        const BpeTokenizer& bpe) {
  files["tokenizer.json"] = bpe_tokenizer_json(bpe);
  auto name = [&](const char* key, int32_t id) {
    std::string text = bpe.decode(std::span(&id, 1));
    auto found = bpe.vocabulary().added.find(text);
    if (found != bpe.vocabulary().added.end() && found->second.special) config[key] = text;
  };
  if (bpe.settings() == BpeSettings{}) return;  // it says all
  if (!bpe.start_tokens().empty()) name("bos_token", bpe.start_tokens()[0]);
  if (auto end = bpe.end_of_text()) name("eos_token", *end);
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer_files(const fs::path& folder) {
  fs::path json = folder / "tokenizer.json";
  if (fs::exists(json)) {
    if (auto characters = character_tokenizer(read_file(json.string()), json)) return characters;
  }
  bool has_bpe =
      fs::exists(json) || fs::exists(folder / "vocab.json") || fs::exists(folder / "encoder.json");
  return has_bpe ? load_bpe(folder.string()) : nullptr;
}

std::string tokenizer_digest(const fs::path& folder) {
  std::string path = (folder / "tokenizer_config.json").string();
  if (!fs::exists(path)) return "";
  auto config = parse_json<nlohmann::json>(read_file(path), path);
  check(config.is_object(), "{}: must be a JSON object, got {}", path, shown(config));
  auto digest = config.find("folio_digest");
  return digest != config.end() && digest->is_string() ? digest->get<std::string>() : "";
}

std::map<std::string, std::string> tokenizer_files(const Tokenizer& tokenizer, int64_t max_length,
                                                   const ChatFormat& chat,
                                                   const std::string& digest) {
  std::map<std::string, std::string> files;
  Json config{{"model_max_length", max_length}, {"clean_up_tokenization_spaces", false}};
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (auto* of_characters = dynamic_cast<const CharTokenizer*>(&tokenizer)) {
    files["tokenizer.json"] = text_of(character_tokenizer_json(*of_characters));
  } else if (auto* bpe = dynamic_cast<const BpeTokenizer*>(&tokenizer)) {
    auto end = bpe->end_of_text();
    if (end && bpe->to_json().at("type") == "bpe")
      add_gpt2_files(files, config, *bpe, *end);
    else
      add_tokenizer_json(files, config, *bpe);
  } else {
    fail("this kind of tokenizer has no form in Hugging Face's layout");
  }
  if (!chat.templates.empty()) add_chat(config, chat);
  if (!digest.empty()) config["folio_digest"] = digest;
  files["tokenizer_config.json"] = text_of(config);
  return files;
}

void save_tokenizer_files(const fs::path& folder, const Tokenizer& tokenizer, int64_t max_length) {
  for (const auto& [name, text] : tokenizer_files(tokenizer, max_length))
    write_file((folder / name).string(), text);
}

}  // namespace folio

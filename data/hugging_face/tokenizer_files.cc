#include "data/hugging_face/tokenizer_files.h"

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/files.h"
#include "data/parse_json.h"
#include "data/tokenizer/bpe_files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "data/utf8.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) { return json.dump(2) + "\n"; }

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
          {"pre_tokenizer",
           {{"type", "Split"},
            {"pattern", {{"Regex", "[\\s\\S]"}}},
            {"behavior", "Isolated"},
            {"invert", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", "<unk>"}}}};
}

// What character_tokenizer_json wrote; null if `text` is a tokenizer.json of another kind.
std::shared_ptr<const Tokenizer> character_tokenizer(const std::string& text,
                                                     const std::string& path) {
  if (text.find("\"WordLevel\"") == std::string::npos) return nullptr;  // spares parsing a BPE
  Json json = parse_json<Json>(text, path);
  check(json.is_object(), "{}: not a JSON object, so no tokenizer", path);
  const Json model = json.value("model", Json());
  if (!model.is_object() || model.value("type", Json()) != "WordLevel") return nullptr;
  const Json vocab = model.value("vocab", Json());
  check(vocab.is_object(), "{}: its model has no vocab", path);
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

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer_files(const fs::path& folder) {
  fs::path json = folder / "tokenizer.json";
  if (fs::exists(json)) {
    if (auto characters = character_tokenizer(read_file(json.string()), json.string()))
      return characters;
  }
  bool has_bpe =
      fs::exists(json) || fs::exists(folder / "vocab.json") || fs::exists(folder / "encoder.json");
  return has_bpe ? load_bpe(folder.string()) : nullptr;
}

void save_tokenizer_files(const fs::path& folder, const Tokenizer& tokenizer, int64_t max_length) {
  auto write = [&](const char* name, const std::string& text) {
    write_file((folder / name).string(), text);
  };
  Json config{{"model_max_length", max_length}, {"clean_up_tokenization_spaces", false}};
  if (auto* of_characters = dynamic_cast<const CharTokenizer*>(&tokenizer)) {
    write("tokenizer.json", text_of(character_tokenizer_json(*of_characters)));
    config["tokenizer_class"] = "PreTrainedTokenizerFast";
  } else if (auto* bpe = dynamic_cast<const BpeTokenizer*>(&tokenizer)) {
    write("vocab.json", vocab_json(bpe->vocabulary()));
    write("merges.txt", merges_txt(bpe->vocabulary()));
    config["tokenizer_class"] = "GPT2Tokenizer";
    config["add_prefix_space"] = false;
    if (auto end = tokenizer.end_of_text())
      config["bos_token"] = config["eos_token"] = config["unk_token"] =
          tokenizer.decode(std::span(&*end, 1));
  } else {
    fail("{}: this kind of tokenizer has no form in Hugging Face's layout", folder.string());
  }
  write("tokenizer_config.json", text_of(config));
}

}  // namespace folio

#include "data/tokenizer/bpe_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "data/files/mapped_file.h"
#include "data/text/json_keys.h"
#include "data/text/parse_json.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/stated_tokens.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;  // not ordered_json, whose every insertion looks at every key

constexpr size_t max_bytes = 256 << 20;  // of a file: parsed, it takes some times as much

Json parse(const fs::path& path) {
  MappedFile file(path.string());
  check(file.bytes().size() <= max_bytes, "{}: {} bytes; a tokenizer's file has at most {}",
        path.string(), file.bytes().size(), max_bytes);
  return file.read([&](std::string_view text) { return parse_json<Json>(text, path.string()); });
}

// {"token": id, ...} through `add`.
template <class Add>
void each_token(const Json& json, const std::string& where, Add&& add) {
  for (const auto& [token, id] : json.get_ref<const Json::object_t&>()) {
    if (!id.is_number_integer())
      fail("{}: the id of \"{}\" must be an integer, got {}", where, token, shown(id));
    add(token, id.template get<int64_t>());
  }
}

// The vocabulary and what the files of `folder` add to it.
void add_tokens(BpeVocabularyBuilder& builder, const fs::path& folder, const Json* tokenizer_json,
                const Json& vocab, const std::string& where) {
  if (!vocab.is_object())
    fail("{}: must be an object of tokens and their ids, got {}", where, shown(vocab));
  for (const StatedToken& token : stated_tokens(folder, tokenizer_json, vocab))
    builder.add_added(token.text, *token.id, token.kind, token.where);
  each_token(vocab, where, [&](const std::string& token, int64_t id) {
    if (builder.is_added(token, id))
      builder.add_to_model(token, where);
    else
      builder.add_token(token, id, where);
  });
}

std::shared_ptr<const BpeTokenizer> load_pair(const fs::path& vocab, const fs::path& merges) {
  BpeVocabularyBuilder builder;
  std::string where = vocab.string();
  add_tokens(builder, vocab.parent_path(), nullptr, parse(vocab), where);
  MappedFile lines(merges.string());
  lines.read([&](std::string_view text) { builder.add_merges(text, merges.string()); });
  BpeSettings settings;
  if (tokenizer_class(vocab.parent_path()).starts_with("Qwen2Tokenizer"))
    settings = {.nfc = true, .steps = qwen_steps()};
  return std::make_shared<BpeTokenizer>(builder.finish(where), where, std::move(settings));
}

void add_merges(BpeVocabularyBuilder& builder, const Json& merges, const std::string& path) {
  if (!merges.is_array()) fail("{}: \"merges\" must be an array, got {}", path, shown(merges));
  for (size_t i = 0; i < merges.size(); ++i) {
    std::string where = fmt::format("{}: \"merges\"[{}]", path, i);
    const Json& merge = merges[i];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      builder.add_merge(merge[0].get<std::string>(), merge[1].get<std::string>(), where);
      continue;
    }
    const auto* text = merge.get_ptr<const std::string*>();
    size_t space = text ? text->find(' ') : std::string::npos;
    if (space == std::string::npos || text->find(' ', space + 1) != std::string::npos)
      fail("{}: must be two tokens, got {}", where, shown(merge));
    builder.add_merge(text->substr(0, space), text->substr(space + 1), where);
  }
}

std::shared_ptr<const BpeTokenizer> load_tokenizer_json(const fs::path& file) {
  std::string path = file.string();
  Json json = parse(file);
  bool whole = json.is_object() && json.contains("model") && json["model"].is_object() &&
               json["model"].contains("vocab") && json["model"].contains("merges");
  if (!whole)
    fail("{}: is no tokenizer.json, which has \"model\": {{\"vocab\", \"merges\"}}; got {}", path,
         shown(json));
  check_top_keys(json, path);
  BpeSettings settings = read_settings(json, path);
  BpeVocabularyBuilder builder;
  add_tokens(builder, file.parent_path(), &json, json["model"]["vocab"], path);
  add_merges(builder, json["model"]["merges"], path);
  return std::make_shared<BpeTokenizer>(builder.finish(path), path, std::move(settings));
}

// The files of a tokenizer: those of one line belong together.
constexpr std::pair<const char*, const char*> pairs[] = {{"vocab.json", "merges.txt"},
                                                         {"encoder.json", "vocab.bpe"}};

}  // namespace

std::shared_ptr<const BpeTokenizer> load_bpe(const std::string& path) {
  fs::path file(path);
  if (fs::is_directory(file)) {
    if (fs::exists(file / "tokenizer.json")) return load_tokenizer_json(file / "tokenizer.json");
    for (auto [vocab, merges] : pairs)
      if (fs::exists(file / vocab) && fs::exists(file / merges))
        return load_pair(file / vocab, file / merges);
    fail(
        "{}: has no tokenizer: neither tokenizer.json, nor vocab.json and merges.txt, nor "
        "encoder.json and vocab.bpe",
        path);
  }
  for (auto [vocab, merges] : pairs)
    if (file.filename() == vocab || file.filename() == merges)
      return load_pair(file.parent_path() / vocab, file.parent_path() / merges);
  return load_tokenizer_json(file);
}

std::string vocab_json(const BpeVocabulary& vocabulary, bool model_alone) {
  std::string text = "{";
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (model_alone && !vocabulary.is_in_model(id)) continue;
    const std::string& token = vocabulary.tokens[id];
    text += fmt::format(
        "{}{}: {}", text.size() > 1 ? ", " : "",
        Json(vocabulary.is_added(id) ? token : spell_bytes(token)).dump(-1, ' ', true), id);
  }
  return text + "}";
}

std::string merges_txt(const BpeVocabulary& vocabulary) {
  return "#version: 0.2\n" + merge_lines(vocabulary);
}

}  // namespace folio

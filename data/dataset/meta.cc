#include "data/dataset/meta.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/text/nearest.h"
#include "data/files/files.h"
#include "data/files/fingerprint.h"
#include "data/text/parse_json.h"
#include "data/torch_file/meta_pickle.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;  // not ordered_json, whose every insertion looks at every key

const Json& member(const Json& json, const char* key, const std::string& path) {
  auto found = json.find(key);
  check(found != json.end(),
        "{}: has no \"{}\"; it is damaged or not folio's, prepare the dataset again", path, key);
  return *found;
}

int64_t count(const Json& json, const char* key, const std::string& path) {
  const Json& value = member(json, key, path);
  check(value.is_number_unsigned(), "{}: \"{}\" must be a count, got {}", path, key, value.dump());
  return value.get<int64_t>();
}

// SHA-256 in hex; empty where there is none.
std::string digest(const Json& json, const char* key, const std::string& path) {
  auto found = json.find(key);
  if (found == json.end()) return "";
  const auto* text = found->get_ptr<const std::string*>();
  check(text && text->size() == 64 && text->find_first_not_of("0123456789abcdef") == text->npos,
        "{}: \"{}\" must be a SHA-256 in hex, got {}", path, key, found->dump());
  return *text;
}

// Of the ids in the token files, as numpy calls it.
const char* dtype_of(const Tokenizer& tokenizer) {
  return token_bytes(tokenizer.vocab_size()) == 2 ? "uint16" : "uint32";
}

void check_fingerprint(const TokenFile& file, const std::string& expected,
                       const std::string& directory, const char* key) {
  check(expected.empty() || hex(fingerprint(file.bytes())) == expected,
        "{} is not the file that {}/meta.json describes: it was changed, or they come from two "
        "runs of `folio prepare`, one of them broken off; prepare the dataset again (or, if you "
        "changed the file on purpose, take \"{}\" out of meta.json)",
        file.path(), directory, key);
}

void check_size(const TokenFile& file, int64_t tokens, const std::string& directory) {
  check(file.size() == tokens,
        "{} has {} tokens, but {}/meta.json says {}: they do not belong together, prepare the "
        "dataset again",
        file.path(), file.size(), directory, tokens);
}

// The dataset beside `directory` whose name is nearest to its name, or "".
std::string nearest_dataset(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(directory.parent_path(), missing))
    if (fs::exists(entry.path() / "meta.json", missing) ||
        fs::exists(entry.path() / "meta.pkl", missing))
      names.push_back(entry.path().filename());
  return nearest(directory.filename().string(), names);
}

// Why there is no description in `directory`, and what the user can do.
[[noreturn]] void fail_undescribed(const std::string& directory) {
  check(!fs::exists(directory + "/train.bin"),
        "{}: neither meta.json nor nanoGPT's meta.pkl says what the ids in train.bin mean; if a "
        "tokenizer like GPT-2's made them, as in nanoGPT's openwebtext, `folio prepare --name={} "
        "--data_dir={} --tokenizer=gpt2` writes meta.json for them",
        directory, fs::path(directory).filename().string(),
        fs::path(directory).parent_path().string());
  std::string near = nearest_dataset(directory);
  check(near.empty(), "there is no dataset in {}; did you mean {}?", directory, near);
  fail(
      "there is no dataset in {}; make one with `folio prepare shakespeare_char` or `folio prepare "
      "--input=FILE --name=NAME`",
      directory);
}

Dataset open_nanogpt_dataset(const std::string& directory) {
  std::string path = directory + "/meta.pkl";
  Meta meta{.tokenizer = load_meta_pkl(path), .source = path};
  int64_t vocab_size = meta.tokenizer->vocab_size();
  Dataset dataset{std::move(meta), TokenFile(directory + "/train.bin", vocab_size),
                  TokenFile(directory + "/val.bin", vocab_size)};
  dataset.meta.train_tokens = dataset.train.size();
  dataset.meta.val_tokens = dataset.val.size();
  return dataset;
}

Dataset open_described_dataset(const std::string& directory) {
  Meta meta = load_meta(directory + "/meta.json");
  int64_t vocab_size = meta.tokenizer->vocab_size();
  Dataset dataset{meta, TokenFile(directory + "/train.bin", vocab_size),
                  TokenFile(directory + "/val.bin", vocab_size)};
  check_size(dataset.train, meta.train_tokens, directory);
  check_size(dataset.val, meta.val_tokens, directory);
  check_fingerprint(dataset.train, meta.train_fingerprint, directory, "train_fingerprint");
  check_fingerprint(dataset.val, meta.val_fingerprint, directory, "val_fingerprint");
  return dataset;
}

}  // namespace

std::string to_json(const Meta& meta) {
  nlohmann::ordered_json json{{"vocab_size", meta.tokenizer->vocab_size()},
                              {"dtype", dtype_of(*meta.tokenizer)},
                              {"train_tokens", meta.train_tokens},
                              {"val_tokens", meta.val_tokens},
                              {"source", meta.source}};
  for (const auto& [key, value] : {std::pair{"train_sha256", &meta.train_sha256},
                                   {"val_sha256", &meta.val_sha256},
                                   {"train_fingerprint", &meta.train_fingerprint},
                                   {"val_fingerprint", &meta.val_fingerprint}})
    if (!value->empty()) json[key] = *value;
  json["tokenizer"] = meta.tokenizer->to_json();
  // A file's name may hold bytes that are not UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Meta load_meta(const std::string& path) {
  Json json = parse_json<Json>(read_file(path), path);
  Meta meta;
  meta.tokenizer = tokenizer_from_json(member(json, "tokenizer", path), path);
  int64_t vocab_size = count(json, "vocab_size", path);
  check(vocab_size == meta.tokenizer->vocab_size(),
        "{}: \"vocab_size\" is {}, but \"tokenizer\" has {} tokens", path, vocab_size,
        meta.tokenizer->vocab_size());
  auto dtype = json.find("dtype");  // not in files of earlier versions
  check(dtype == json.end() || *dtype == dtype_of(*meta.tokenizer),
        "{}: \"dtype\" is {}, but folio reads ids of {} tokens as {}; prepare the dataset again",
        path, dtype == json.end() ? "" : dtype->dump(), vocab_size, dtype_of(*meta.tokenizer));
  meta.train_tokens = count(json, "train_tokens", path);
  meta.val_tokens = count(json, "val_tokens", path);
  const Json& source = member(json, "source", path);
  check(source.is_string(), "{}: \"source\" must be a string, got {}", path, source.dump());
  meta.source = source.get<std::string>();
  meta.train_sha256 = digest(json, "train_sha256", path);
  meta.val_sha256 = digest(json, "val_sha256", path);
  meta.train_fingerprint = digest(json, "train_fingerprint", path);
  meta.val_fingerprint = digest(json, "val_fingerprint", path);
  return meta;
}

std::string dataset_digest(const Dataset& dataset) {
  return hex(sha256(hex(fingerprint(dataset.train.bytes())) +
                    hex(fingerprint(dataset.val.bytes()))))
      .substr(0, 32);
}

Dataset open_dataset(const std::string& directory) {
  bool described = fs::exists(directory + "/meta.json");
  if (!described && !fs::exists(directory + "/meta.pkl")) fail_undescribed(directory);
  Dataset dataset = described ? open_described_dataset(directory) : open_nanogpt_dataset(directory);
  dataset.train.check_ids();
  dataset.val.check_ids();
  return dataset;
}

}  // namespace folio

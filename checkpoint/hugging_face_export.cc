#include "checkpoint/hugging_face.h"

#include <list>
#include <map>

#include "checkpoint/export_tensors.h"
#include "checkpoint/hugging_face_config.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/files/replacement_file.h"
#include "data/files/sha256.h"
#include "data/hugging_face/tokenizer_files.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Texts = std::map<std::string, std::string>;  // by the file's name

constexpr const char* weights_name = "model.safetensors";

// The end tokens of a model of which `rows` are written: others are never drawn from it.
EndTokens ends_within(EndTokens ends, int64_t rows, const Tokenizer* tokenizer) {
  std::erase_if(ends.ids, [&](int64_t id) { return id >= rows; });
  if (ends.ids.empty() && tokenizer && tokenizer->end_of_text())
    return {.ids = {*tokenizer->end_of_text()}};
  return ends;
}

Texts texts(const LayoutConfig& config, int64_t block_size, const Tokenizer* tokenizer,
            const TextFormat& format, const std::string& digest) {
  Texts files;
  if (tokenizer) files = tokenizer_files(*tokenizer, block_size, format.chat, digest);
  files["config.json"] =
      std::visit([&](const auto& one) { return config_json(one, format.ends, digest); }, config);
  files["generation_config.json"] = generation_config_json(format.ends);
  return files;
}

// Of all that is written, but for itself.
std::string digest_of(const Texts& texts, const std::vector<SafetensorsSource>& tensors) {
  Sha256 sha;
  for (const auto& [name, text] : texts)
    sha.update(fmt::format("{} {}\n{}", name, text.size(), text));
  for (const SafetensorsSource& tensor : tensors) {
    throw_if_stopped();
    Array values = tensor.make();
    std::string bytes(values.bytes(), '\0');
    backend(values)->memory.read(values, bytes.data());
    sha.update(tensor.name);
    sha.update(bytes);
  }
  return hex(sha.digest()).substr(0, 32);
}

// Files that take their places together, config.json, which makes the folder a model, last: those
// of an earlier export are gone before the first arrives, so that no two are ever mixed.
class Replacement {
 public:
  explicit Replacement(fs::path folder)
      : folder_(std::move(folder)), made_folder_(!fs::exists(folder_)) {
    fs::create_directories(folder_);
  }
  ~Replacement() {
    files_.clear();
    std::error_code not_empty;
    if (made_folder_) fs::remove(folder_, not_empty);
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  // To be written to.
  int add(const std::string& name) {
    return files_.emplace_back(name, std::make_unique<ReplacementFile>(folder_ / name))
        .second->fd();
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void commit(const std::vector<std::string>& obsolete) {
    remove("config.json");
    for (const auto& [name, file] : files_) remove(name);
    for (const std::string& name : obsolete) remove(name);
    files_.sort([](const auto& a, const auto& b) {
      return (a.first == "config.json") < (b.first == "config.json");
    });
    for (auto& [name, file] : files_) file->commit();
    sync_directory_of(folder_ / "config.json");
  }

 private:
  void remove(const std::string& name) const {
    std::error_code failed;
    fs::remove(folder_ / name, failed);
    check(!failed, "{}: cannot replace it: {}", path(name), failed.message());
  }

  fs::path folder_;
  bool made_folder_;
  std::list<std::pair<std::string, std::unique_ptr<ReplacementFile>>> files_;
};

}  // namespace

std::string save_hugging_face(const fs::path& folder, Gpt& model, const Tokenizer* tokenizer,
                              bool trim_vocab, const TextFormat& format) {
  const int64_t block_size = model.config().block_size;
  int64_t rows = model.config().vocab_size;
  if (trim_vocab && tokenizer) rows = std::min(rows, tokenizer->vocab_size());
  const LayoutConfig config = export_config(model.config(), rows);
  const TextFormat kept{ends_within(format.ends, rows, tokenizer), format.chat};
  const bool is_gpt2 = std::holds_alternative<Gpt2Config>(config);
  std::vector<SafetensorsSource> tensors =
      is_gpt2 ? gpt2_tensors(model, rows) : llama_tensors(model, rows);
  std::string digest = digest_of(texts(config, block_size, tokenizer, kept, ""), tensors);

  Replacement files(folder);
  for (const auto& [name, text] : texts(config, block_size, tokenizer, kept, digest))
    write_all(files.add(name), text, files.path(name));
  write_safetensors(files.add(weights_name), files.path(weights_name), std::move(tensors),
                    {{"format", "pt"}, {"folio_digest", digest}});
  throw_if_stopped();
  // Another export's tokenizer would not go with this model, but a user's own may.
  std::vector<std::string> obsolete;
  if (tokenizer || !tokenizer_digest(folder).empty())
    obsolete = {"vocab.json",         "merges.txt",
                "tokenizer.json",     "special_tokens_map.json",
                "added_tokens.json",  "tokenizer_config.json",
                "chat_template.jinja"};
  files.commit(obsolete);
  return architecture(config);
}

}  // namespace folio

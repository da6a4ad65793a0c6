#include "checkpoint/hugging_face.h"

#include <list>
#include <map>

#include "checkpoint/hugging_face_config.h"
#include "checkpoint/tensor_names.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/files/replacement_file.h"
#include "data/files/sha256.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/safetensors/safetensors.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Texts = std::map<std::string, std::string>;  // by the file's name

constexpr const char* weights_name = "model.safetensors";

// The parameters as the file will have them.
std::vector<SafetensorsSource> sources(Gpt& model, int64_t rows) {
  std::vector<SafetensorsSource> tensors;
  model.parameters([&](const std::string& name, Parameter& parameter) {
    Array values = parameter.array();
    if (name == "transformer.wte.weight") values = values.slice(0, rows);
    bool conv1d = is_conv1d(name);
    Shape shape = values.shape();
    tensors.push_back({.name = name,
                       .dtype = DType::f32,
                       .shape = conv1d ? Shape{shape[1], shape[0]} : shape,
                       .make = [values, conv1d] {
                         return conv1d ? backend(values)->layout.transpose(values, 0, 1, DType::f32)
                                       : values;
                       }});
    bool missing_bias = !model.config().bias && name.ends_with(".weight") &&
                        !name.ends_with("wte.weight") && !name.ends_with("wpe.weight");
    if (!missing_bias) return;
    tensors.push_back({.name = name.substr(0, name.size() - 6) + "bias",
                       .dtype = DType::f32,
                       .shape = {shape[0]},
                       .make = [n = shape[0]] { return zeros({n}, DType::f32, cpu); }});
  });
  return tensors;
}

Texts texts(const Gpt2Config& config, const Tokenizer* tokenizer, const std::string& digest) {
  int64_t end = tokenizer ? tokenizer->end_of_text().value_or(-1) : -1;
  Texts files;
  if (tokenizer) files = tokenizer_files(*tokenizer, config.n_positions, digest);
  files["config.json"] = config_json(config, end, digest);
  files["generation_config.json"] = generation_config_json(end);
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

void save_hugging_face(const fs::path& folder, Gpt& model, const Tokenizer* tokenizer,
                       bool trim_vocab) {
  int64_t rows = model.config().vocab_size;
  if (trim_vocab && tokenizer) rows = std::min(rows, tokenizer->vocab_size());
  Gpt2Config config = gpt2_config(model.config(), rows);
  std::vector<SafetensorsSource> tensors = sources(model, rows);
  std::string digest = digest_of(texts(config, tokenizer, ""), tensors);

  Replacement files(folder);
  for (const auto& [name, text] : texts(config, tokenizer, digest))
    write_all(files.add(name), text, files.path(name));
  write_safetensors(files.add(weights_name), files.path(weights_name), std::move(tensors),
                    {{"format", "pt"}, {"folio_digest", digest}});
  throw_if_stopped();
  // Another export's tokenizer would not go with this model, but a user's own may.
  std::vector<std::string> obsolete;
  if (tokenizer || !tokenizer_digest(folder).empty())
    obsolete = {"vocab.json",        "merges.txt",
                "tokenizer.json",    "special_tokens_map.json",
                "added_tokens.json", "tokenizer_config.json"};
  files.commit(obsolete);
}

}  // namespace folio

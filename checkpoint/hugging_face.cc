#include "checkpoint/hugging_face.h"

#include <algorithm>
#include <set>
#include <vector>

#include "checkpoint/hugging_face_config.h"
#include "checkpoint/model_file.h"
#include "checkpoint/stored_tensors.h"
#include "checkpoint/tensor_names.h"
#include "data/files/mapped_file.h"
#include "data/hugging_face/tokenizer_files.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr const char* wte = "transformer.wte.weight";
constexpr const char* lm_head = "lm_head.weight";

Shape transposed(const Shape& shape) { return {shape[1], shape[0]}; }

fs::path weights_file(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                           "pytorch_model.bin.index.json"})
    if (fs::exists(folder / name)) return folder / name;
  fail(
      "{}: has a config.json but neither model.safetensors nor pytorch_model.bin, the weights of "
      "Hugging Face's that folio reads",
      folder.string());
}

// Both [R, C] and of one dtype: whether they have the same bytes.
bool same_rows(const Array& a, const Array& b) {
  constexpr int64_t rows = 1024;  // at a time
  std::vector<char> left, right;
  auto read = [](const Array& from, std::vector<char>& bytes) {
    bytes.resize(from.bytes());
    backend(from)->memory.read(from, bytes.data());
  };
  for (int64_t begin = 0; begin < a.dim(0); begin += rows) {
    const int64_t end = std::min(a.dim(0), begin + rows);
    read(a.slice(begin, end), left);
    read(b.slice(begin, end), right);
    if (left != right) return false;
  }
  return true;
}

// The weights of a config, with the shapes checked.
class Weights {
 public:
  Weights(const fs::path& path, const Gpt2Config& config) : file_(path), config_(config) {}

  const std::string& path() const { return file_.path(); }
  std::string metadata(const std::string& key) const { return file_.metadata(key); }

  // `wanted` is the file's shape: [in, out] for a Conv1D.
  Array tensor(const std::string& name, const Shape& wanted) const {
    check_shape(name, wanted);
    return file_.tensor(place(name));
  }
  void check_shape(const std::string& name, const Shape& wanted) const {
    const Shape& shape = file_.shape(place(name));
    check(shape == wanted, "{}: tensor {} is {}; config.json asks for {}", path(),
          file_.names().at(place(name)), shape, wanted);
  }

  // Throws Error unless the file has tensors of the sizes that config.json claims: to be called
  // before a model of that size takes memory.
  void check_sizes() const {
    int64_t C = config_.n_embd;
    check_shape(wte, {config_.vocab_size, C});
    check_shape("transformer.wpe.weight", {config_.n_positions, C});
    for (int64_t i = 0; i < config_.n_layer; ++i) {
      std::string block = fmt::format("transformer.h.{}.", i);
      check_shape(block + "attn.c_attn.weight", {C, 3 * C});
      check_shape(block + "mlp.c_fc.weight", {C, 4 * C});
      check_shape(block + "mlp.c_proj.weight", {4 * C, C});
    }
  }

  // folio's head is the token embedding (wte). Throws Error for a file whose head holds other
  // numbers than wte, and for one that says its head is another tensor but does not have it.
  void check_tied() const {
    check(
        config_.tied || file_.has(lm_head),
        "{}: has no {}, and config.json says \"tie_word_embeddings\": false: the head is missing. "
        "If it is the token embedding, set that to true",
        path(), lm_head);
    if (!file_.has(lm_head) || (config_.tied && !file_.has(wte))) return;
    Shape shape{config_.vocab_size, config_.n_embd};
    Array head = tensor(lm_head, shape), embedding = tensor(wte, shape);
    bool same = head.dtype() == embedding.dtype() && same_rows(head, embedding);
    check_mapped_files();
    check(same,
          "{}: lm_head.weight differs from wte.weight; folio's GPT-2 ties the two and cannot run "
          "this model",
          path());
  }

  // Throws Error for a tensor that is neither a parameter of the model nor a buffer: what it does
  // in the model that was saved, folio would leave out.
  void check_all_known(Gpt& model) const {
    std::set<std::string> known{lm_head};
    model.parameters([&](const std::string& name, Parameter&) { known.insert(name); });
    for (const auto& [name, stored] : file_.names())
      check(known.contains(name) || is_buffer(name),
            "{}: tensor {} has no place in GPT-2; folio would compute another model than the "
            "file's",
            path(), stored);
  }

 private:
  // Of a tied pair a file may hold either name alone.
  std::string place(const std::string& name) const {
    return name == wte && config_.tied && !file_.has(wte) && file_.has(lm_head) ? lm_head : name;
  }

  StoredTensors file_;
  const Gpt2Config& config_;
};

// The files of one export have one digest; what others wrote has none.
void check_one_export(const fs::path& folder, const std::string& digest, const std::string& other,
                      const char* name) {
  check(digest.empty() || other.empty() || digest == other,
        "{}: its config.json and its {} come from two exports (their folio_digest is {:.8} and "
        "{:.8}); export the model again",
        folder.string(), name, digest, other);
}

}  // namespace

bool is_hugging_face(const fs::path& folder) { return fs::exists(folder / "config.json"); }

std::unique_ptr<Gpt> load_hugging_face(const fs::path& path, Device device, bool read_only) {
  fs::path file = fs::is_directory(path) ? weights_file(path) : path;
  fs::path folder = file.parent_path();
  Gpt2Config config = load_gpt2_config((folder / "config.json").string());
  Weights weights(file, config);
  check_one_export(folder, config.digest, weights.metadata("folio_digest"),
                   file.filename().c_str());
  check_one_export(folder, config.digest, tokenizer_digest(folder), "tokenizer_config.json");
  weights.check_sizes();
  weights.check_tied();
  auto model = std::make_unique<Gpt>(gpt_config(config), device);
  weights.check_all_known(*model);
  model->parameters([&](const std::string& name, Parameter& parameter) {
    const Shape& shape = parameter.shape();
    bool conv1d = is_conv1d(name);
    Array values = weights.tensor(name, conv1d ? transposed(shape) : shape);
    if (conv1d) {
      values = backend(values)->layout.transpose(values, 0, 1, DType::f32);
    } else if (!read_only || values.dtype() != DType::f32 || name != "transformer.wte.weight") {
      values = backend(values)->elementwise.cast(values, DType::f32);
    }
    check_finite(values, weights.path(), name);
    parameter = Parameter::leaf(to(values, device));
  });
  check_mapped_files();
  return model;
}

}  // namespace folio

#include "checkpoint/hugging_face.h"

#include <cstring>
#include <set>

#include "data/files.h"
#include "data/hugging_face/gpt2_config.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/safetensors/safetensors.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "transformer.";

bool is_conv1d(std::string_view name) {
  return name.ends_with("c_attn.weight") || name.ends_with("c_proj.weight") ||
         name.ends_with("c_fc.weight");
}

// Masks that old versions of transformers saved beside the weights.
bool is_buffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

Shape transposed(const Shape& shape) { return {shape[1], shape[0]}; }

fs::path weights_file(const fs::path& folder) {
  fs::path whole = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  check(fs::exists(whole) || fs::exists(index),
        "{}: has a config.json but no model.safetensors; of Hugging Face's files folio reads "
        "safetensors alone",
        folder.string());
  return fs::exists(whole) ? whole : index;
}

// The weights under the names that folio and transformers use, with the shapes checked.
class Weights {
 public:
  explicit Weights(const fs::path& path)
      : file_(path.string()), prefix_(file_.has("transformer.wte.weight") ? prefix : "") {}

  const std::string& path() const { return file_.path(); }
  bool has(const std::string& name) const { return file_.has(stored(name)); }

  // `wanted` is the file's shape: [in, out] for a Conv1D.
  Array tensor(const std::string& name, const Shape& wanted) const {
    check_shape(name, wanted);
    return file_.tensor(stored(name));
  }
  void check_shape(const std::string& name, const Shape& wanted) const {
    const Shape& shape = file_.shape(stored(name));
    check(shape == wanted, "{}: tensor {} is {}; config.json asks for {}", path(), stored(name),
          shape, wanted);
  }
  // The number of tensors that `known` neither takes nor ignores must be 0.
  void check_all_known(Gpt& model) const;

 private:
  std::string stored(const std::string& name) const {
    bool headless = prefix_.empty() && name.starts_with(prefix);
    return headless ? name.substr(prefix.size()) : name;
  }

  Safetensors file_;
  std::string_view prefix_;
};

void Weights::check_all_known(Gpt& model) const {
  std::set<std::string> known{"lm_head.weight"};
  model.parameters([&](const std::string& name, Parameter&) { known.insert(stored(name)); });
  for (const std::string& name : file_.names())
    check(known.contains(name) || is_buffer(name),
          "{}: tensor {} has no place in GPT-2; folio would compute another model than the file's",
          path(), name);
}

// Before a model of config's size is made: the file has the tensors that make up that size.
void check_sizes(const Weights& weights, const Gpt2Config& config) {
  int64_t C = config.n_embd;
  weights.check_shape("transformer.wte.weight", {config.vocab_size, C});
  weights.check_shape("transformer.wpe.weight", {config.n_positions, C});
  for (int64_t i = 0; i < config.n_layer; ++i) {
    std::string block = fmt::format("transformer.h.{}.", i);
    weights.check_shape(block + "attn.c_attn.weight", {C, 3 * C});
    weights.check_shape(block + "mlp.c_fc.weight", {C, 4 * C});
    weights.check_shape(block + "mlp.c_proj.weight", {4 * C, C});
  }
}

// A head of its own is the token embedding again or it is another model.
void check_tied(const Weights& weights, const Gpt2Config& config) {
  if (!weights.has("lm_head.weight")) return;
  Shape shape{config.vocab_size, config.n_embd};
  Array head = weights.tensor("lm_head.weight", shape);
  Array wte = weights.tensor("transformer.wte.weight", shape);
  bool same =
      head.dtype() == wte.dtype() && std::memcmp(head.address(), wte.address(), head.bytes()) == 0;
  check_mapped_files();
  check(same,
        "{}: lm_head.weight differs from wte.weight; folio's GPT-2 ties the two and cannot run "
        "this model",
        weights.path());
}

GptConfig gpt_config(const Gpt2Config& config) {
  return {.block_size = config.n_positions,
          .vocab_size = config.vocab_size,
          .n_layer = config.n_layer,
          .n_head = config.n_head,
          .n_embd = config.n_embd,
          .dropout = 0,
          .bias = true,
          .activation = config.activation};
}

Gpt2Config gpt2_config(const GptConfig& config) {
  return {.vocab_size = config.vocab_size,
          .n_positions = config.block_size,
          .n_embd = config.n_embd,
          .n_layer = config.n_layer,
          .n_head = config.n_head,
          .activation = config.activation};
}

}  // namespace

bool is_hugging_face(const fs::path& folder) { return fs::exists(folder / "config.json"); }

std::unique_ptr<Gpt> load_hugging_face(const fs::path& path, bool read_only) {
  fs::path file = fs::is_directory(path) ? weights_file(path) : path;
  Gpt2Config config = load_gpt2_config((file.parent_path() / "config.json").string());
  Weights weights(file);
  check_sizes(weights, config);
  check_tied(weights, config);
  auto model = std::make_unique<Gpt>(gpt_config(config));
  weights.check_all_known(*model);
  model->parameters([&](const std::string& name, Parameter& parameter) {
    const Shape& shape = parameter.shape();
    bool conv1d = is_conv1d(name);
    Array values = weights.tensor(name, conv1d ? transposed(shape) : shape);
    Backend& device = backend(values);
    if (conv1d) {
      values = device.transpose(values, DType::f32);
    } else if (!read_only || values.dtype() != DType::f32 || name != "transformer.wte.weight") {
      values = device.cast(values, DType::f32);
    }
    parameter = Parameter::leaf(std::move(values));
  });
  check_mapped_files();
  return model;
}

void save_hugging_face(const fs::path& folder, Gpt& model, const Tokenizer* tokenizer) {
  fs::create_directories(folder);
  int64_t end = -1;
  if (tokenizer) end = tokenizer->end_of_text().value_or(-1);
  std::vector<SafetensorsSource> tensors;
  model.parameters([&](const std::string& name, Parameter& parameter) {
    Array values = parameter.array();
    bool conv1d = is_conv1d(name);
    tensors.push_back({.name = name,
                       .dtype = DType::f32,
                       .shape = conv1d ? transposed(values.shape()) : values.shape(),
                       .make = [values, conv1d] {
                         return conv1d ? backend(values).transpose(values, DType::f32) : values;
                       }});
    bool missing_bias = !model.config().bias && name.ends_with(".weight") &&
                        !name.ends_with("wte.weight") && !name.ends_with("wpe.weight");
    if (!missing_bias) return;
    Shape shape{values.dim(0)};
    tensors.push_back({.name = name.substr(0, name.size() - 6) + "bias",
                       .dtype = DType::f32,
                       .shape = shape,
                       .make = [shape] { return zeros(shape, DType::f32); }});
  });
  write_safetensors((folder / "model.safetensors").string(), std::move(tensors),
                    {{"format", "pt"}});
  write_file((folder / "config.json").string(), config_json(gpt2_config(model.config()), end));
  write_file((folder / "generation_config.json").string(), generation_config_json(end));
  if (tokenizer) save_tokenizer_files(folder, *tokenizer, model.config().block_size);
}

}  // namespace folio

#include "checkpoint/hugging_face_weights.h"

#include <algorithm>
#include <set>

#include "checkpoint/export_tensors.h"
#include "checkpoint/tensor_names.h"
#include "data/files/mapped_file.h"

namespace folio {
namespace {

constexpr const char* lm_head = "lm_head.weight";

Shape transposed(const Shape& shape) { return {shape[1], shape[0]}; }

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

}  // namespace

HuggingFaceWeights::HuggingFaceWeights(const std::filesystem::path& file,
                                       const LayoutConfig& config)
    : file_(file), config_(config) {}

bool HuggingFaceWeights::is_tied() const {
  return std::visit([](const auto& config) { return config.tied; }, config_);
}

std::string HuggingFaceWeights::embedding() const {
  return is_gpt2() ? "transformer.wte.weight" : "model.embed_tokens.weight";
}

// The tensor's name in file_: the prefix of the class may be missing, and of a tied pair a file may
// hold either name alone.
std::string HuggingFaceWeights::place(const std::string& name) const {
  constexpr std::string_view prefix = "model.";
  std::string key = parameter_name(name);
  if (!is_gpt2() && !file_.has(key) && name.starts_with(prefix)) {
    std::string bare = parameter_name(name.substr(prefix.size()));
    if (file_.has(bare)) return bare;
  }
  const bool is_head = name == embedding() && is_tied() && !file_.has(key) && file_.has(lm_head);
  return is_head ? lm_head : key;
}

// `wanted` is the file's shape: [in, out] for a Conv1D.
Array HuggingFaceWeights::tensor(const std::string& name, const Shape& wanted) const {
  check_shape(name, wanted);
  return file_.tensor(place(name));
}

void HuggingFaceWeights::check_shape(const std::string& name, const Shape& wanted) const {
  const std::string key = place(name);
  check(file_.has(key), "{}: has no tensor {}", path(), name);
  check(file_.shape(key) == wanted, "{}: tensor {} is {}; config.json asks for {}", path(),
        file_.names().at(key), file_.shape(key), wanted);
}

void HuggingFaceWeights::check_sizes() const {
  std::visit([&](const auto& config) { check_sizes(config); }, config_);
}

void HuggingFaceWeights::check_sizes(const Gpt2Config& config) const {
  const int64_t C = config.n_embd;
  check_shape(embedding(), {config.vocab_size, C});
  check_shape("transformer.wpe.weight", {config.n_positions, C});
  for (int64_t i = 0; i < config.n_layer; ++i) {
    const std::string block = fmt::format("transformer.h.{}.", i);
    check_shape(block + "attn.c_attn.weight", {C, 3 * C});
    check_shape(block + "mlp.c_fc.weight", {C, 4 * C});
    check_shape(block + "mlp.c_proj.weight", {4 * C, C});
  }
}

void HuggingFaceWeights::check_sizes(const LlamaConfig& config) const {
  const int64_t C = config.hidden_size, F = config.intermediate_size, D = config.head_dim;
  check_shape(embedding(), {config.vocab_size, C});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    check_shape(layer + "input_layernorm.weight", {C});
    check_shape(layer + "self_attn.q_proj.weight", {config.num_attention_heads * D, C});
    check_shape(layer + "self_attn.k_proj.weight", {config.num_key_value_heads * D, C});
    if (config.norms_qk) check_shape(layer + "self_attn.q_norm.weight", {D});
    check_shape(layer + "mlp.gate_proj.weight", {F, C});
  }
}

void HuggingFaceWeights::check_head() const {
  check(is_tied() || file_.has(lm_head),
        "{}: has no {}, and config.json says \"tie_word_embeddings\": false: the head is missing. "
        "If it is the token embedding, set that to true",
        path(), lm_head);
  if (!is_gpt2() && !is_tied()) return;
  if (!file_.has(lm_head) || place(embedding()) == lm_head) return;
  const Shape shape = std::visit(
      [](const auto& config) {
        return Shape{config.vocab_size, gpt_config(config).n_embd};
      },
      config_);
  const Array head = tensor(lm_head, shape), rows = tensor(embedding(), shape);
  const bool same = head.dtype() == rows.dtype() && same_rows(head, rows);
  check_mapped_files();
  if (is_gpt2())
    check(same,
          "{}: lm_head.weight differs from wte.weight; folio's GPT-2 ties the two and cannot run "
          "this model",
          path());
  check(same,
        "{}: lm_head.weight differs from {}, and config.json says \"tie_word_embeddings\": true; "
        "if the head is a matrix of its own, set that to false",
        path(), embedding());
}

void HuggingFaceWeights::check_all_known(Gpt& model) const {
  std::set<std::string> known{lm_head};
  const PartRows rows = part_rows(model);
  model.parameters([&](const std::string& name, Parameter&) {
    auto parts = rows.find(name);
    const size_t count = parts == rows.end() ? 1 : parts->second.size();
    if (is_gpt2()) known.insert(place(name));
    for (size_t i = 0; !is_gpt2() && i < count; ++i) known.insert(place(llama_name(name, i)));
  });
  const std::string_view model_name = is_gpt2() ? "GPT-2" : "the model that config.json describes";
  for (const auto& [name, stored] : file_.names())
    check(known.contains(name) || is_buffer(name),
          "{}: tensor {} has no place in {}; folio would compute another model than the file's",
          path(), stored, model_name);
}

Array HuggingFaceWeights::parameter(const std::string& name, const Shape& shape,
                                    const std::vector<int64_t>& parts, bool may_be_mapped) const {
  auto as_f32 = [](const Array& values) {
    return backend(values)->elementwise.cast(values, DType::f32);
  };
  if (is_gpt2() && is_conv1d(name)) {
    const Array values = tensor(name, transposed(shape));
    return backend(values)->layout.transpose(values, 0, 1, DType::f32);
  }
  if (is_gpt2() || parts.size() < 2) {
    Array values = tensor(is_gpt2() ? name : llama_name(name, 0), shape);
    return may_be_mapped && values.dtype() == DType::f32 ? values : as_f32(values);
  }
  Array all(shape, DType::f32, cpu);
  int64_t begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Shape part = shape.rank() == 1 ? Shape{parts[i]} : Shape{parts[i], shape[1]};
    const Array values = as_f32(tensor(llama_name(name, i), part));
    backend(all)->layout.copy_block(values, 0, all, begin, parts[i], 0);
    begin += parts[i];
  }
  return all;
}

}  // namespace folio

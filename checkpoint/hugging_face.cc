#include "checkpoint/hugging_face.h"

#include <vector>

#include "checkpoint/export_tensors.h"
#include "checkpoint/hugging_face_config.h"
#include "checkpoint/hugging_face_weights.h"
#include "checkpoint/model_file.h"
#include "data/files/mapped_file.h"
#include "data/hugging_face/tokenizer_files.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

fs::path weights_file(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                           "pytorch_model.bin.index.json"})
    if (fs::exists(folder / name)) return folder / name;
  fail(
      "{}: has a config.json but neither model.safetensors nor pytorch_model.bin, the weights of "
      "Hugging Face's that folio reads",
      folder.string());
}

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
  const LayoutConfig config = load_layout_config((folder / "config.json").string());
  const HuggingFaceWeights weights(file, config);
  const std::string digest = std::visit([](const auto& one) { return one.digest; }, config);
  check_one_export(folder, digest, weights.metadata("folio_digest"), file.filename().c_str());
  check_one_export(folder, digest, tokenizer_digest(folder), "tokenizer_config.json");
  weights.check_sizes();
  weights.check_head();
  const GptConfig shape = std::visit([](const auto& one) { return gpt_config(one); }, config);
  auto model = std::make_unique<Gpt>(shape, device);
  weights.check_all_known(*model);
  const PartRows parts = part_rows(*model);
  model->parameters([&](const std::string& name, Parameter& parameter) {
    auto found = parts.find(name);
    const bool may_be_mapped = read_only && name == "transformer.wte.weight";
    Array values = weights.parameter(name, parameter.shape(),
                                     found == parts.end() ? std::vector<int64_t>{} : found->second,
                                     may_be_mapped);
    check_finite(values, weights.path(), name);
    parameter = Parameter::leaf(to(values, device));
  });
  check_mapped_files();
  return model;
}

}  // namespace folio

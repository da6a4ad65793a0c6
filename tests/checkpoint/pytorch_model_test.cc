// Weights of Hugging Face's layout in pytorch_model.bin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/open_model.h"
#include "tests/checkpoint/hugging_face_fixture.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/device.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

// pytorch_model.bin, as torch.save(model.state_dict()) writes it.
class PytorchModel : public HuggingFace {
 protected:
  PytorchModel() {
    Safetensors file(folder / "model.safetensors");
    for (const std::string& name : file.names()) add(name, file.tensor(name));
    fs::remove(folder / "model.safetensors");
  }
  void add(const std::string& name, const Array& values) {
    std::string key = std::to_string(storages.size());
    storages.emplace_back(key, torch_writer::bytes_of(to_vector<float>(values)));
    std::vector<int64_t> shape(values.shape().dims().begin(), values.shape().dims().end());
    std::vector<int64_t> stride(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) stride[d - 1] = stride[d] * shape[d];
    tensors.emplace_back(
        name, torch_writer::tensor(
                  {.key = key, .storage_size = values.size(), .shape = shape, .stride = stride}));
  }
  void write(const std::string& name = "pytorch_model.bin") {
    write_file(folder / name, torch_writer::file(torch_writer::dict(tensors), storages));
  }

  torch_writer::Items tensors, storages;
};

TEST_F(PytorchModel, IsReadAsTheSafetensorsAre) {
  tensors.emplace_back("lm_head.weight", tensors.back().second);  // both names of one storage
  EXPECT_EQ(tensors[tensors.size() - 2].first, "transformer.wte.weight");
  add("transformer.h.0.attn.bias", zeros({1, 1, T, T}, DType::f32));
  write();
  EXPECT_EQ(error(), "");
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
  EXPECT_EQ(logits(*open_model(folder / "pytorch_model.bin", "", test_device()).model),
            logits(*model));
  write_file(folder / "pytorch_model.bin.index.json", [&] {
    nlohmann::json map;
    for (const auto& [name, tensor] : tensors) map[name] = "pytorch_model-00001-of-00001.bin";
    return nlohmann::json{{"weight_map", map}}.dump();
  }());
  fs::rename(folder / "pytorch_model.bin", folder / "pytorch_model-00001-of-00001.bin");
  EXPECT_EQ(logits(*load_hugging_face(path, test_device())), logits(*model));
}

TEST_F(PytorchModel, WrongTensorsAreNamed) {
  add("score.weight", zeros({2, C}, DType::f32));
  write();
  EXPECT_THAT(error(), HasSubstr("tensor score.weight has no place in GPT-2"));
  tensors.back() = {"transformer.h.0.mlp.gate", tensors[0].second};
  write();
  EXPECT_THAT(error(), HasSubstr("transformer.h.0.mlp.gate has no place"));
  // Ten thousand views of one storage would be more than the file.
  const std::string c_fc = "transformer.h.0.mlp.c_fc.weight";
  std::string large = std::ranges::find(tensors, c_fc, [](auto& row) { return row.first; })->second;
  for (int i = 0; i < 10000; ++i) tensors.emplace_back(std::to_string(i), large);
  write();
  EXPECT_THAT(error(), HasSubstr("share their bytes"));
  write_file(folder / "pytorch_model.bin", torch_writer::file(torch_writer::list({}), {}));
  EXPECT_THAT(error(), HasSubstr("should be a state dict, not a list"));
}

}  // namespace
}  // namespace folio

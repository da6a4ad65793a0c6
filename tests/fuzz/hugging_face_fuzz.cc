#include "checkpoint/hugging_face.h"
#include "core/parallel.h"
#include "data/dataset/meta.h"
#include "tests/data/temporary_folder.h"
#include "tests/fuzz/input_file.h"

// The first byte says what the rest is: a model's config.json and model.safetensors, or, if it is
// 2, pytorch_model.bin; or a dataset's meta.json, train.bin and val.bin.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  set_parallel_threads(1);  // other targets have the other cores
  static const TemporaryFolder folder, torch;
  static const InputFile torch_config(torch / "config.json"),
      torch_model(torch / "pytorch_model.bin");
  static const InputFile config(folder / "config.json"), model(folder / "model.safetensors"),
      meta(folder / "meta.json"), train(folder / "train.bin"), val(folder / "val.bin");
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] == 2) {
      auto parts = split(input, 2);
      torch_config.write(parts[0]), torch_model.write(parts[1]);
      load_hugging_face(torch.path(), cpu);
    } else if (data[0] % 2 == 0) {
      auto parts = split(input, 2);
      config.write(parts[0]), model.write(parts[1]);
      load_hugging_face(folder.path(), cpu);
    } else {
      auto parts = split(input, 3);
      meta.write(parts[0]), train.write(parts[1]), val.write(parts[2]);
      Dataset dataset = open_dataset(folder.path());
      std::vector<int32_t> ids(size_t(dataset.train.size()));
      dataset.train.read(0, ids);
      dataset.meta.tokenizer->decode(ids);
    }
  } catch (const Error&) {
  }
  require_little_memory();
  return 0;
}

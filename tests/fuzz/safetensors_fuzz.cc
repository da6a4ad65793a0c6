#include "data/safetensors/safetensors.h"
#include "tests/data/temporary_folder.h"
#include "tests/fuzz/input_file.h"

namespace folio {
namespace {

void read_header(std::string_view file) {
  SafetensorsHeader header = read_safetensors_header(file, "model.safetensors");
  uint64_t bytes = 0;
  for (const auto& [name, entry] : header.tensors) {
    require(entry.begin <= entry.end && entry.end <= file.size());
    bytes += entry.end - entry.begin;
  }
  require(bytes <= file.size());
}

void read_tensors(const Safetensors& file) {
  for (const std::string& name : file.names()) {
    try {
      Array array = file.tensor(name);
      require(array.shape() == file.shape(name));
      if (array.dtype() == DType::f32) to_vector<float>(array);
    } catch (const Error&) {  // a dtype that folio does not compute with
    }
  }
}

}  // namespace
}  // namespace folio

// The first byte says what the rest is: a file's header alone, a file whose tensors are read too,
// or a model.safetensors.index.json and the shards a.safetensors and b.safetensors.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  static const TemporaryFolder folder;
  static const InputFile index(folder / "model.safetensors.index.json"),
      a(folder / "a.safetensors"), b(folder / "b.safetensors");
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 4 < 2) {
      read_header(input);
    } else if (data[0] % 4 == 2) {
      a.write(input);
      read_tensors(Safetensors(a.path()));
    } else {
      auto parts = split(input, 3);
      index.write(parts[0]), a.write(parts[1]), b.write(parts[2]);
      read_tensors(Safetensors(index.path()));
    }
  } catch (const Error&) {
  }
  require_little_memory();
  return 0;
}

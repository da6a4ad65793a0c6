#include "checkpoint/model_file.h"
#include "checkpoint/nanogpt_file.h"
#include "data/torch_file/meta_pickle.h"
#include "data/torch_file/torch_file.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/fuzz/input_file.h"

namespace folio {
namespace {

// Tensors, where they are in a few levels of lists and dicts. Objects may hold each other.
void read_tensors(const TorchFile& file, const PickleValue& value, int depth, int& left) {
  if (depth == 0 || left-- <= 0) return;
  auto walk = [&](const PickleValue* item) { read_tensors(file, *item, depth - 1, left); };
  if (TorchFile::is_tensor(value)) {
    try {
      TorchTensor tensor = file.tensor(value, "one");
      require(file.read(tensor).shape() == tensor.shape);
    } catch (const Error&) {
    }
  }
  if (auto* dict = value.get_if<PickleValue::Dict>()) {
    for (const auto& [key, item] : dict->items) walk(item);
  } else if (auto* list = value.get_if<PickleValue::List>()) {
    for (const auto* item : list->items) walk(item);
  } else if (auto* tuple = value.get_if<PickleValue::Tuple>()) {
    for (const auto* item : tuple->items) walk(item);
  }
}

void read(std::string_view bytes) {
  TorchFile file(bytes, "ckpt.pt");
  int left = 40;
  read_tensors(file, file.root(), 6, left);
  load_model(load_nanogpt(bytes, "ckpt.pt", NanogptParts::all).state, cpu);
}

}  // namespace
}  // namespace folio

// The first byte says what the rest is: 2, a dataset's meta.pkl; or else a whole zip archive; or
// its pickle alone, which is put into an archive with the right CRC-32 and the storages 0 to 3, so
// that changed bytes reach the reader.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  if (size == 0) return 0;
  std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) {
    static const std::string numbers(96, '\0');
    torch_writer::Items entries = {{"a/data.pkl", input}, {"a/byteorder", "little"}};
    for (const char* key : {"0", "1", "2", "3"})
      entries.emplace_back(std::string("a/data/") + key, numbers);
    input = torch_writer::zip(entries);
  }
  try {
    if (data[0] == 2) {
      load_meta_pkl(input, "meta.pkl");
    } else {
      read(input);
    }
  } catch (const Error&) {
  }
  require_little_memory();
  return 0;
}

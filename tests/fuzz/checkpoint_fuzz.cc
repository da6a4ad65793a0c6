#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "checkpoint/model_file.h"
#include "checkpoint/quantized_file.h"
#include "checkpoint/saved_text_format.h"
#include "core/parallel.h"
#include "data/files/sha256.h"
#include "data/hdf5/seal.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/data/temporary_folder.h"
#include "tests/fuzz/input_file.h"

// What is fuzzed is folio's part: the block that carries the digest, and what stands behind HDF5's
// parser. HDF5 itself (1.10 of Debian) does not survive hostile files; the digest keeps every
// accident away from it.
namespace folio {
namespace {

// `block`, and the true digest of it and the rest of the file.
std::string sealed(std::string_view block, std::string_view rest) {
  constexpr size_t digest_at = 24, digest_end = 56;
  std::string file(block);
  file.resize(seal_bytes);
  Sha256 hash;
  hash.update(file.substr(0, digest_at));
  hash.update(file.substr(digest_end));
  hash.update(rest);
  Digest digest = hash.digest();
  std::copy(digest.begin(), digest.end(), file.begin() + digest_at);
  return file.append(rest);
}

void read(const CheckpointFile& content) {
  saved_tokenizer(content);
  const TextFormat format = saved_text_format(content, 4);
  if (!format.chat.templates.empty()) default_template(format.chat);
  quantized_weights(content) ? load_quantized(content, cpu) : load_model(content, cpu);
}

template <class Map>
std::string some_name(const Map& map, FuzzedDataProvider& input) {
  if (map.empty()) return "vocabulary";
  return std::next(map.begin(), input.ConsumeIntegralInRange<int>(0, int(map.size()) - 1))->first;
}

// A checkpoint with attributes and tensors of other values, types and shapes, or without them.
void edit(CheckpointFile& content, FuzzedDataProvider& input) {
  while (input.remaining_bytes() > 0) {
    std::string attribute = some_name(content.attributes, input),
                tensor = some_name(content.tensors, input);
    switch (input.ConsumeIntegralInRange(0, 6)) {
      case 0:
        content.attributes.erase(attribute);
        break;
      case 1:
        content.tensors.erase(tensor);
        break;
      case 2:
        content.attributes[attribute] = input.ConsumeBool();
        break;
      case 3:
        content.attributes[attribute] = input.ConsumeIntegral<int64_t>();
        break;
      case 4:
        content.attributes[attribute] = input.ConsumeFloatingPoint<double>();
        break;
      case 5:
        content.attributes[input.ConsumeBool() ? attribute : "tokenizer"] =
            input.ConsumeRandomLengthString();
        break;
      default: {
        std::vector<int64_t> dims(input.ConsumeIntegralInRange<size_t>(0, 3));
        for (int64_t& dim : dims) dim = input.ConsumeIntegralInRange(0, 9);
        DType dtype =
            input.PickValueInArray({DType::f32, DType::f64, DType::bf16, DType::i32, DType::i8});
        Array values(Shape(std::span<const int64_t>(dims)), dtype, cpu);
        std::vector<char> bytes(values.bytes());
        backend(values)->memory.write(bytes.data(), values);
        content.tensors[tensor] = values;
      }
    }
  }
}

}  // namespace
}  // namespace folio

// The first byte says what the rest is: a whole file; a block of which the digest is put right; or
// edits to what a valid file holds, in f32 or quantised.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace folio;
  set_parallel_threads(1);  // other targets have the other cores
  static const TemporaryFolder folder;
  static const InputFile file(folder / "ckpt.h5");
  static const std::string valid = [] {
    save(folder / "valid.h5", tiny_checkpoint());
    return read_file(folder / "valid.h5");
  }();
  static const std::vector<CheckpointFile> contents = [] {
    std::vector<CheckpointFile> all{load(folder / "valid.h5")};
    for (WeightFormat format : {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
      Gpt model(tiny_model, cpu, 1);
      all.push_back(quantize(model, format));
      put_tokenizer(all.back(), CharTokenizer(U"abcd"));
      put_text_format(all.back(), {.ends = {{3, 1}, true},
                                   .chat = {.templates = "\"a\"", .tokens = {{"bos_token", "b"}}}});
    }
    return all;
  }();
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 0) {
      file.write(input);
      read(load(file.path()));
      require(input == valid);
    } else if (data[0] % 3 == 1) {
      file.write(sealed(input.substr(0, seal_bytes), valid.substr(seal_bytes)));
      read(load(file.path()));
    } else {
      CheckpointFile edited = contents[data[0] / 3 % contents.size()];
      FuzzedDataProvider provider(data + 1, size - 1);
      edit(edited, provider);
      read(edited);
    }
  } catch (const Error&) {
  }
  require_little_memory();
  return 0;
}

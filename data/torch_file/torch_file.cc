#include "data/torch_file/torch_file.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "core/backend.h"
#include "data/safetensors/half.h"

namespace folio {
namespace {

using Tuple = PickleValue::Tuple;

constexpr uint64_t max_pickle_bytes = 8 << 20;  // a checkpoint of GPT-2 XL has 0.3 MB

struct StorageType {
  std::string_view name;
  TorchDType dtype;
  uint32_t bytes;  // of an element
};
constexpr StorageType storage_types[] = {
    {"torch.DoubleStorage", TorchDType::f64, 8}, {"torch.FloatStorage", TorchDType::f32, 4},
    {"torch.HalfStorage", TorchDType::f16, 2},   {"torch.BFloat16Storage", TorchDType::bf16, 2},
    {"torch.LongStorage", TorchDType::i64, 8},   {"torch.IntStorage", TorchDType::i32, 4},
    {"torch.ShortStorage", TorchDType::i16, 2},  {"torch.CharStorage", TorchDType::i8, 1},
    {"torch.ByteStorage", TorchDType::u8, 1},    {"torch.BoolStorage", TorchDType::boolean, 1},
};

constexpr std::string_view rebuild_tensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view rebuild_parameter = "torch._utils._rebuild_parameter";

// Every name that a pickle may mention.
std::vector<std::string_view> allowed_globals() {
  std::vector<std::string_view> names = {"collections.OrderedDict", rebuild_tensor,
                                         rebuild_parameter};
  for (const StorageType& type : storage_types) names.push_back(type.name);
  for (std::string_view dtype :
       {"torch.float64", "torch.float32", "torch.float16", "torch.bfloat16", "torch.int64",
        "torch.int32", "torch.int16", "torch.int8", "torch.uint8", "torch.bool"})
    names.push_back(dtype);
  return names;
}

uint32_t bytes_of(TorchDType dtype) {
  for (const StorageType& type : storage_types)
    if (type.dtype == dtype) return type.bytes;
  return 0;
}

template <class T>
T load_as(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float element(TorchDType dtype, const char* at) {
  switch (dtype) {
    case TorchDType::f64:
      return float(load_as<double>(at));
    case TorchDType::f32:
      return load_as<float>(at);
    case TorchDType::f16:
      return half_to_float(load_as<uint16_t>(at));
    case TorchDType::bf16:
      return load_as<bfloat16>(at);
    case TorchDType::i64:
      return float(load_as<int64_t>(at));
    case TorchDType::i32:
      return float(load_as<int32_t>(at));
    case TorchDType::i16:
      return load_as<int16_t>(at);
    case TorchDType::i8:
      return load_as<int8_t>(at);
    case TorchDType::u8:
      return load_as<uint8_t>(at);
    case TorchDType::boolean:
      return load_as<uint8_t>(at) != 0;
  }
  return 0;
}

bool is_contiguous(const TorchTensor& tensor) {
  int64_t expected = 1;
  for (int d = tensor.shape.rank(); d-- > 0;) {
    if (tensor.shape[d] != 1 && tensor.stride[size_t(d)] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

// All elements in row-major order. `bytes` are those of the storage.
std::vector<float> gather(const TorchTensor& tensor, const char* bytes) {
  std::vector<float> values(size_t(tensor.shape.size()));
  std::vector<int64_t> index(tensor.stride.size());
  int64_t size = bytes_of(tensor.dtype), at = tensor.offset;
  for (float& value : values) {
    value = element(tensor.dtype, bytes + at * size);
    for (size_t d = index.size(); d-- > 0;) {
      at += tensor.stride[d];
      if (++index[d] < tensor.shape[int(d)]) break;
      at -= tensor.stride[d] * index[d];
      index[d] = 0;
    }
  }
  return values;
}

// A tuple of sizes or strides: none negative, at most max_rank.
std::vector<int64_t> sizes(const PickleValue& value, const std::string& what) {
  std::vector<int64_t> numbers;
  const Tuple& tuple = value.get<Tuple>(what, "a tuple");
  check(tuple.items.size() <= size_t(Shape::max_rank),
        "{} has {} dimensions, but at most {} are read", what, tuple.items.size(), Shape::max_rank);
  for (auto item : tuple.items) {
    numbers.push_back(item->get<int64_t>(what, "a tuple of ints"));
    check(numbers.back() >= 0, "{} has the negative {}", what, numbers.back());
  }
  return numbers;
}

// The arguments of the call that would make a tensor; through torch.nn.Parameter if need be.
const Tuple* tensor_arguments(const PickleValue& value) {
  const auto* call = value.get_if<PickleValue::Call>();
  if (call && call->function == rebuild_parameter) {
    const auto* inner = call->arguments->get_if<Tuple>();
    call = inner && !inner->items.empty() ? inner->items[0]->get_if<PickleValue::Call>() : nullptr;
  }
  if (!call || call->function != rebuild_tensor) return nullptr;
  return call->arguments->get_if<Tuple>();
}

// Elements from the first to the last, that one included, unless that overflows.
bool fits(const std::vector<int64_t>& shape, const std::vector<int64_t>& stride, int64_t offset,
          int64_t storage_size) {
  int64_t count = 1, last = offset;
  bool overflow = false, empty = false;
  for (size_t d = 0; d < shape.size(); ++d) {
    empty |= shape[d] == 0;
    int64_t step = 0;
    overflow |= __builtin_mul_overflow(std::max<int64_t>(shape[d] - 1, 0), stride[d], &step);
    overflow |= __builtin_add_overflow(last, step, &last);
    overflow |= __builtin_mul_overflow(count, shape[d], &count);
  }
  return !overflow && count <= storage_size && (empty || last < storage_size);
}

}  // namespace

uint64_t TorchTensor::bytes() const { return uint64_t(shape.size()) * bytes_of(dtype); }

TorchFile::TorchFile(const std::string& path)
    : path_(path), file_(std::make_unique<MappedFile>(path)), bytes_(file_->bytes()) {
  file_->read([&](std::string_view) { open(); });
}

TorchFile::TorchFile(std::string_view bytes, std::string path)
    : path_(std::move(path)), bytes_(bytes) {
  open();
}

void TorchFile::open() {
  static const std::vector<std::string_view> allowed = allowed_globals();
  check(!bytes_.starts_with("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."),
        "{}: in the format of PyTorch before 1.6; save it again with a later one: "
        "torch.save(torch.load(FILE), FILE)",
        path_);
  zip_ = std::make_unique<ZipArchive>(bytes_, path_);
  std::string pickle = zip_->name_ending_with("/data.pkl");
  folder_ = pickle.substr(0, pickle.size() - std::strlen("data.pkl"));
  if (zip_->size(folder_ + "byteorder").value_or(0) == 3)
    check(zip_->read(folder_ + "byteorder") != "big", "{}: its numbers are big-endian", path_);
  check(zip_->size(pickle) <= max_pickle_bytes, "{}: its {} has more than {} bytes", path_, pickle,
        max_pickle_bytes);
  pickle_ = std::make_unique<Pickle>(zip_->read(pickle), path_ + ": " + pickle, allowed);
}

bool TorchFile::is_tensor(const PickleValue& value) { return tensor_arguments(value) != nullptr; }

TorchTensor TorchFile::tensor(const PickleValue& value, const std::string& name) const {
  std::string what = fmt::format("{}: tensor {}", path_, name);
  const Tuple* arguments = tensor_arguments(value);
  check(arguments && arguments->items.size() >= 4, "{} should be a tensor, not {}", what,
        value.kind());
  // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
  const auto& storage =
      arguments->items[0]->get<PickleValue::Persistent>(what + "'s storage", "a storage");
  // ("storage", type, key, device, number of elements)
  const auto& id = storage.id->get<Tuple>(what + "'s storage", "described by a tuple").items;
  check(
      id.size() == 5 && id[0]->get_if<std::string>() && *id[0]->get_if<std::string>() == "storage",
      "{}: its storage is not described as torch.save does", what);
  const std::string& type =
      id[1]->get<PickleValue::Global>(what + "'s storage type", "a class").name;
  TorchTensor tensor;
  uint32_t element_bytes = 0;
  for (const StorageType& known : storage_types)
    if (known.name == type) tensor.dtype = known.dtype, element_bytes = known.bytes;
  check(element_bytes > 0, "{}: {} is no storage type", what, type);
  tensor.storage = folder_ + "data/" + id[2]->get<std::string>(what + "'s storage key", "a text");
  tensor.storage_size = id[4]->get<int64_t>(what + "'s storage size", "an int");

  uint64_t needed = 0;
  std::optional<uint64_t> there = zip_->size(tensor.storage);
  check(there.has_value(), "{}: its storage {} is not in the file", what, tensor.storage);
  check(tensor.storage_size >= 0 &&
            !__builtin_mul_overflow(uint64_t(tensor.storage_size), element_bytes, &needed) &&
            needed == *there,
        "{}: its storage {} has {} bytes, which is not {} elements of {}", what, tensor.storage,
        *there, tensor.storage_size, type);

  tensor.offset = arguments->items[1]->get<int64_t>(what + "'s offset", "an int");
  std::vector<int64_t> shape = sizes(*arguments->items[2], what + "'s shape");
  tensor.stride = sizes(*arguments->items[3], what + "'s stride");
  check(shape.size() == tensor.stride.size(), "{}: {} sizes, but {} strides", what, shape.size(),
        tensor.stride.size());
  check(tensor.offset >= 0 && fits(shape, tensor.stride, tensor.offset, tensor.storage_size),
        "{}: offset {}, shape [{}] and stride [{}] do not fit its storage of {} elements", what,
        tensor.offset, fmt::join(shape, ", "), fmt::join(tensor.stride, ", "), tensor.storage_size);
  tensor.shape = Shape(std::span<const int64_t>(shape));
  return tensor;
}

const std::string& TorchFile::storage_bytes(const TorchTensor& tensor) const {
  if (storage_ != tensor.storage) {
    storage_.clear();  // should the read fail
    auto read = [&](std::string_view = {}) { storage_bytes_ = zip_->read(tensor.storage); };
    file_ ? file_->read(read) : read();
    storage_ = tensor.storage;
  }
  return storage_bytes_;
}

Array TorchFile::read(const TorchTensor& tensor) const {
  if (tensor.shape.size() == 0) return Array(tensor.shape, DType::f32, cpu);
  const char* bytes = storage_bytes(tensor).data();
  if (tensor.dtype != TorchDType::f32 || !is_contiguous(tensor))
    return to_array(gather(tensor, bytes), tensor.shape, cpu);
  Array array(tensor.shape, DType::f32, cpu);
  backend(array)->memory.write(bytes + tensor.offset * 4, array);
  return array;
}

bool is_torch_file(const std::string& path) {
  char start[4] = {};
  std::ifstream(path, std::ios::binary).read(start, sizeof start);
  std::string_view bytes(start, sizeof start);
  return bytes == "PK\3\4" || bytes.starts_with("\x80\x02\x8a\x0a");
}

}  // namespace folio

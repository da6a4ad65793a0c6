#include "data/safetensors/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/backend.h"
#include "data/files.h"
#include "data/parse_json.h"
#include "data/replacement_file.h"
#include "data/safetensors/half.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

// An array whose storage is a part of a mapped file.
Array mapped(std::shared_ptr<const MappedFile> file, const SafetensorsEntry& entry, DType dtype) {
  std::string_view bytes = file->bytes().substr(entry.begin, entry.end - entry.begin);
  std::shared_ptr<Storage> storage(new Storage{const_cast<char*>(bytes.data()), bytes.size(), cpu},
                                   [file](Storage* s) { delete s; });
  return Array(std::move(storage), entry.shape, dtype);
}

Array copied(std::string_view bytes, const Shape& shape, DType dtype) {
  Array array(shape, dtype);
  backend(array).write(bytes.data(), array);
  return array;
}

Array from_half(std::string_view bytes, const Shape& shape) {
  std::vector<float> values(size_t(shape.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = half_to_float(bits);
  }
  return to_array(values, shape);
}

nlohmann::json read_index(const std::string& path) {
  MappedFile file(path);
  check(file.bytes().size() <= 100'000'000, "{}: {} bytes are too many for an index of shards",
        path, file.bytes().size());
  auto index =
      file.read([&](std::string_view text) { return parse_json<nlohmann::json>(text, path); });
  try {
    return index.at("weight_map").get<std::map<std::string, std::string>>();
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not an index of safetensors shards: {}", path, error.what());
  }
}

}  // namespace

Safetensors::Safetensors(const std::string& path) : path_(path) {
  if (path.ends_with(".json")) {
    add_index(path);
  } else {
    add_file(path);
  }
}

void Safetensors::add_file(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  SafetensorsHeader header =
      file->read([&](std::string_view bytes) { return read_safetensors_header(bytes, path); });
  for (auto& [name, entry] : header.tensors) {
    bool fresh = tensors_.emplace(name, Place{file, std::move(entry)}).second;
    check(fresh, "{}: tensor {} is in another shard too", path, name);
  }
}

void Safetensors::add_index(const std::string& path) {
  std::map<std::string, std::string> weight_map = read_index(path);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) {
    check(!shard.empty() && shard.find('/') == std::string::npos && shard != "..",
          "{}: tensor {} is said to be in \"{}\"; a shard lies beside its index", path, name,
          shard);
    shards.insert(shard);
  }
  for (const std::string& shard : shards) add_file((fs::path(path).parent_path() / shard).string());
  for (const auto& [name, shard] : weight_map)
    check(has(name), "{}: tensor {} is not in {}", path, name, shard);
}

const Safetensors::Place& Safetensors::place(const std::string& name) const {
  auto found = tensors_.find(name);
  check(found != tensors_.end(), "{}: has no tensor {}", path_, name);
  return found->second;
}

std::vector<std::string> Safetensors::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : tensors_) names.push_back(name);
  return names;
}

const Shape& Safetensors::shape(const std::string& name) const { return place(name).entry.shape; }

Array Safetensors::tensor(const std::string& name) const {
  const auto& [file, entry] = place(name);
  std::string_view bytes = file->bytes().substr(entry.begin, entry.end - entry.begin);
  if (entry.dtype == "F16")
    return file->read([&](std::string_view) { return from_half(bytes, entry.shape); });
  check(entry.dtype == "F32" || entry.dtype == "BF16",
        "{}: tensor {} is {}; folio reads weights in F32, F16 and BF16", path_, name, entry.dtype);
  DType dtype = entry.dtype == "F32" ? DType::f32 : DType::bf16;
  bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % size_of(dtype) == 0;
  if (aligned) return mapped(file, entry, dtype);
  return file->read([&](std::string_view) { return copied(bytes, entry.shape, dtype); });
}

void write_safetensors(const std::string& path, std::vector<SafetensorsSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(tensors, {}, [](const SafetensorsSource& t) {
    return std::pair(-int64_t(size_of(t.dtype)), t.name);  // wide dtypes first: each lies aligned
  });
  std::vector<std::pair<std::string, SafetensorsEntry>> entries;
  for (const SafetensorsSource& tensor : tensors)
    entries.push_back(
        {tensor.name,
         {.dtype = tensor.dtype == DType::bf16 ? "BF16" : "F32", .shape = tensor.shape}});
  ReplacementFile file(path);
  write_all(file.fd(), make_safetensors_header(entries, metadata), path);
  for (const SafetensorsSource& tensor : tensors) {
    Array array = tensor.make();
    check(array.shape() == tensor.shape && array.dtype() == tensor.dtype,
          "write_safetensors: {} is {} {}, expected {} {}", tensor.name, array.dtype(),
          array.shape(), tensor.dtype, tensor.shape);
    std::string bytes(array.bytes(), '\0');
    backend(array).read(array, bytes.data());
    write_all(file.fd(), bytes, path);
  }
  file.commit();
  sync_directory_of(path);
}

}  // namespace folio

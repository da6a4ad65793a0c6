#include "data/safetensors/safetensors.h"

#include <algorithm>
#include <cstring>

#include "core/backend.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/files/replacement_file.h"
#include "data/safetensors/half.h"
#include "data/safetensors/shards.h"

namespace folio {
namespace {

// An array whose storage is a part of a mapped file.
Array mapped(std::shared_ptr<const MappedFile> file, const SafetensorsEntry& entry, DType dtype) {
  std::string_view bytes = file->bytes().substr(entry.begin, entry.end - entry.begin);
  std::shared_ptr<Storage> storage(new Storage{.data = const_cast<char*>(bytes.data()),
                                               .bytes = bytes.size(),
                                               .device = cpu,
                                               .read_only = true},
                                   [file](Storage* s) { delete s; });
  return Array(std::move(storage), entry.shape, dtype);
}

Array copied(std::string_view bytes, const Shape& shape, DType dtype) {
  Array array(shape, dtype, cpu);
  backend(array)->memory.write(bytes.data(), array);
  return array;
}

// f32 of each T of the file, which may lie at any address.
template <class T, class F>
Array converted(std::string_view bytes, const Shape& shape, F&& to_float) {
  std::vector<float> values(size_t(shape.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    T stored;
    std::memcpy(&stored, bytes.data() + sizeof(T) * i, sizeof(T));
    values[i] = to_float(stored);
  }
  return to_array(values, shape, cpu);
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
  metadata_.merge(header.metadata);
  for (auto& [name, entry] : header.tensors) {
    bool fresh = tensors_.emplace(name, Place{file, std::move(entry)}).second;
    check(fresh, "{}: tensor {} is in another shard too", path, name);
  }
}

void Safetensors::add_index(const std::string& path) {
  Shards shards = read_shards(path);
  for (const std::string& shard : shards.files) add_file(shard);
  for (const auto& [name, shard] : shards.of_tensor)
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

std::string Safetensors::metadata(const std::string& key) const {
  auto found = metadata_.find(key);
  return found == metadata_.end() ? "" : found->second;
}

const Shape& Safetensors::shape(const std::string& name) const { return place(name).entry.shape; }

Array Safetensors::tensor(const std::string& name) const {
  const Place& at = place(name);
  const auto& file = at.file;
  const SafetensorsEntry& entry = at.entry;
  std::string_view bytes = file->bytes().substr(entry.begin, entry.end - entry.begin);
  if (entry.dtype == "F16")
    return file->read(
        [&](std::string_view) { return converted<uint16_t>(bytes, entry.shape, half_to_float); });
  if (entry.dtype == "F64")
    return file->read([&](std::string_view) {
      return converted<double>(bytes, entry.shape, [](double x) { return float(x); });
    });
  check(entry.dtype == "F32" || entry.dtype == "BF16",
        "{}: tensor {} is {}; folio reads weights in F64, F32, F16 and BF16", path_, name,
        entry.dtype);
  DType dtype = entry.dtype == "F32" ? DType::f32 : DType::bf16;
  bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % size_of(dtype) == 0;
  if (aligned) return mapped(file, entry, dtype);
  return file->read([&](std::string_view) { return copied(bytes, entry.shape, dtype); });
}

void write_safetensors(int fd, const std::string& path, std::vector<SafetensorsSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(tensors, {}, [](const SafetensorsSource& t) {
    return std::pair(-int64_t(size_of(t.dtype)), t.name);  // wide dtypes first: each lies aligned
  });
  std::vector<std::pair<std::string, SafetensorsEntry>> entries;
  for (const SafetensorsSource& tensor : tensors)
    entries.push_back(
        {tensor.name,
         {.dtype = tensor.dtype == DType::bf16 ? "BF16" : "F32", .shape = tensor.shape}});
  write_all(fd, make_safetensors_header(entries, metadata), path);
  for (const SafetensorsSource& tensor : tensors) {
    throw_if_stopped();
    Array array = tensor.make();
    check(array.shape() == tensor.shape && array.dtype() == tensor.dtype,
          "write_safetensors: {} is {} {}, expected {} {}", tensor.name, array.dtype(),
          array.shape(), tensor.dtype, tensor.shape);
    std::string bytes(array.bytes(), '\0');
    backend(array)->memory.read(array, bytes.data());
    write_all(fd, bytes, path);
  }
}

void write_safetensors(const std::string& path, std::vector<SafetensorsSource> tensors,
                       const std::map<std::string, std::string>& metadata) {
  ReplacementFile file(path);
  write_safetensors(file.fd(), path, std::move(tensors), metadata);
  file.commit();
  sync_directory_of(path);
}

}  // namespace folio

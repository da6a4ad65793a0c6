#include "data/safetensors/header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/safetensors/header_parser.h"

namespace folio {
namespace {

constexpr uint64_t max_json_bytes = 100'000'000;  // the reference implementation's limit

struct NamedSize {
  std::string_view dtype;
  int64_t bytes;
};
constexpr std::array dtype_sizes{
    NamedSize{"BOOL", 1},    NamedSize{"U8", 1},      NamedSize{"I8", 1},  NamedSize{"F8_E4M3", 1},
    NamedSize{"F8_E5M2", 1}, NamedSize{"F8_E8M0", 1}, NamedSize{"I16", 2}, NamedSize{"U16", 2},
    NamedSize{"F16", 2},     NamedSize{"BF16", 2},    NamedSize{"I32", 4}, NamedSize{"U32", 4},
    NamedSize{"F32", 4},     NamedSize{"I64", 8},     NamedSize{"U64", 8}, NamedSize{"F64", 8},
    NamedSize{"C64", 8}};

// Bytes of an array, or -1 if they do not fit 63 bits.
int64_t byte_count(int64_t element_bytes, std::span<const int64_t> dims) {
  if (std::ranges::count(dims, 0) > 0) return 0;
  int64_t bytes = element_bytes;
  for (int64_t dim : dims)
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return -1;
  return bytes;
}

SafetensorsEntry checked_entry(const RawEntry& raw, uint64_t data_begin, uint64_t data_bytes,
                               const std::string& what) {
  int64_t element = safetensors_dtype_size(raw.dtype);
  check(element > 0, "{} has the unknown dtype \"{}\"", what, raw.dtype);
  int64_t bytes = byte_count(element, raw.shape);
  auto [begin, end] = raw.data_offsets;
  check(begin <= end && end <= data_bytes,
        "{} lies at data_offsets [{}, {}], outside the file's {} bytes of tensors; the file is cut "
        "short or damaged",
        what, begin, end, data_bytes);
  check(bytes >= 0 && uint64_t(bytes) == end - begin,
        "{} is {} [{}], which is not the {} bytes of its data_offsets", what, raw.dtype,
        fmt::join(raw.shape, ", "), end - begin);
  return {raw.dtype, Shape(raw.shape), data_begin + begin, data_begin + end};
}

// Every byte of the data belongs to one tensor.
void check_tiling(const SafetensorsHeader& header, uint64_t data_begin, uint64_t file_bytes,
                  const std::string& name) {
  std::vector<std::pair<std::pair<uint64_t, uint64_t>, const std::string*>> extents;
  for (const auto& [tensor, entry] : header.tensors)
    extents.push_back({{entry.begin, entry.end}, &tensor});
  std::ranges::sort(extents);
  uint64_t at = data_begin;
  for (const auto& [extent, tensor] : extents) {
    check(extent.first >= at, "{}: tensor {} overlaps the one before it", name, *tensor);
    check(extent.first == at, "{}: {} bytes before tensor {} belong to no tensor", name,
          extent.first - at, *tensor);
    at = extent.second;
  }
  check(at == file_bytes, "{}: {} bytes after the last tensor belong to no tensor", name,
        file_bytes - at);
}

}  // namespace

int64_t safetensors_dtype_size(std::string_view dtype) {
  const auto* found = std::ranges::find(dtype_sizes, dtype, &NamedSize::dtype);
  return found == dtype_sizes.end() ? 0 : found->bytes;
}

SafetensorsHeader read_safetensors_header(std::string_view file, const std::string& name) {
  check(file.size() >= 8,
        "{}: {} bytes are no safetensors file, which starts with an 8-byte length", name,
        file.size());
  uint64_t json_bytes = 0;
  std::memcpy(&json_bytes, file.data(), 8);  // little-endian, as every machine that folio runs on
  check(
      json_bytes <= max_json_bytes && json_bytes <= file.size() - 8,
      "{}: says that its header has {} bytes, but the file has {} and the format allows {}; it is "
      "no safetensors file, or cut short",
      name, json_bytes, file.size(), max_json_bytes);
  RawHeader raw = parse_header_json(file.substr(8, json_bytes), name);

  uint64_t data_begin = 8 + json_bytes;
  SafetensorsHeader header{.tensors = {}, .metadata = std::move(raw.metadata)};
  for (const auto& [tensor, entry] : raw.tensors)
    header.tensors.emplace(tensor, checked_entry(entry, data_begin, file.size() - data_begin,
                                                 name + ": tensor " + tensor));
  check_tiling(header, data_begin, file.size(), name);
  return header;
}

std::string make_safetensors_header(std::vector<std::pair<std::string, SafetensorsEntry>>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  uint64_t at = 0;
  for (auto& [name, entry] : tensors) {
    check(!json.contains(name), "safetensors: two tensors have the name {}", name);
    entry.begin = at;
    at += uint64_t(entry.shape.size() * safetensors_dtype_size(entry.dtype));
    entry.end = at;
    json[name] = {{"dtype", entry.dtype},
                  {"shape", std::vector(entry.shape.dims().begin(), entry.shape.dims().end())},
                  {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = json.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t json_bytes = text.size();
  std::string header(8, '\0');
  std::memcpy(header.data(), &json_bytes, 8);
  for (auto& [name, entry] : tensors) {
    entry.begin += 8 + json_bytes;
    entry.end += 8 + json_bytes;
  }
  return header + text;
}

}  // namespace folio

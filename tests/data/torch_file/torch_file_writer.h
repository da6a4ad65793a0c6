#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// Files as torch.save writes them, piece by piece, so that a test can spoil any piece. Every
// function below gives opcodes of a pickle that push one object.
namespace folio::torch_writer {

inline std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i, value >>= 8) text += char(value);
  return text;
}

inline std::string none() { return "N"; }
inline std::string boolean(bool value) { return value ? "\x88" : "\x89"; }
inline std::string integer(int64_t value) { return "\x8a\x08" + little_endian(uint64_t(value), 8); }
inline std::string number(double value) {
  std::string text = little_endian(std::bit_cast<uint64_t>(value), 8);
  return "G" + std::string(text.rbegin(), text.rend());
}
inline std::string text(const std::string& value) {
  return "X" + little_endian(value.size(), 4) + value;
}
inline std::string list(const std::vector<std::string>& items) {
  std::string all = "](";
  for (const auto& item : items) all += item;
  return all + "e";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const auto& item : items) all += item;
  return all + "t";
}
using Items = std::vector<std::pair<std::string, std::string>>;
// The keys are texts.
inline std::string dict(const Items& items) {
  std::string all = "}(";
  for (const auto& [key, value] : items) all += text(key) + value;
  return all + "u";
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string call(const std::string& function, const std::string& arguments) {
  return function + arguments + "R";
}

struct Tensor {
  std::string key = "0", type = "FloatStorage", device = "cpu";
  int64_t storage_size = 0;
  int64_t offset = 0;
  std::vector<int64_t> shape = {}, stride = {};
};
inline std::string tensor(const Tensor& t) {
  auto integers = [](const std::vector<int64_t>& values) {
    std::vector<std::string> items;
    for (int64_t value : values) items.push_back(integer(value));
    return tuple(items);
  };
  std::string id = tuple({text("storage"), global("torch", t.type), text(t.key), text(t.device),
                          integer(t.storage_size)});
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              tuple({id + "Q", integer(t.offset), integers(t.shape), integers(t.stride),
                     boolean(false), call(global("collections", "OrderedDict"), ")")}));
}

// A whole pickle of one object.
inline std::string pickle(const std::string& object) { return "\x80\x02" + object + "."; }

inline uint32_t crc32(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (char byte : bytes) {
    crc ^= uint8_t(byte);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// A zip archive whose entries are stored as they are.
inline std::string zip(const Items& entries) {
  std::string bytes, directory;
  for (const auto& [name, content] : entries) {
    // version, flags, method, time and date; CRC, both sizes; lengths of name and extra field
    std::string fields = little_endian(0, 2) + little_endian(0, 2) + little_endian(0, 4) +
                         little_endian(crc32(content), 4) + little_endian(content.size(), 4) +
                         little_endian(content.size(), 4) + little_endian(name.size(), 2) +
                         little_endian(0, 2);
    directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + fields +
                 little_endian(0, 10) + little_endian(bytes.size(), 4) + name;
    bytes += "PK\3\4" + little_endian(20, 2) + fields + name + content;
  }
  uint64_t start = bytes.size();
  return bytes + directory + "PK\5\6" + little_endian(0, 4) + little_endian(entries.size(), 2) +
         little_endian(entries.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(start, 4) + little_endian(0, 2);
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// What torch.save(object) writes; `storages` by key.
inline std::string file(const std::string& object, const Items& storages,
                        const std::string& byteorder = "little") {
  Items entries = {{"archive/data.pkl", pickle(object)}, {"archive/byteorder", byteorder}};
  for (const auto& [key, bytes] : storages) entries.emplace_back("archive/data/" + key, bytes);
  entries.emplace_back("archive/version", "3\n");
  return zip(entries);
}

}  // namespace folio::torch_writer

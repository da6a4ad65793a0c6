#include "data/hdf5/checkpoint_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "data/files/files.h"
#include "data/files/replacement_file.h"
#include "data/hdf5/content.h"
#include "data/hdf5/seal.h"

namespace folio {
namespace {

// "a", "b", ... and 3 more
template <class Map>
std::string some_names(const Map& map) {
  constexpr size_t most = 6;
  if (map.empty()) return "none";
  std::string text;
  size_t n = 0;
  for (const auto& [name, value] : map) {
    if (n++ == most) return fmt::format("{} and {} more", text, map.size() - most);
    text += fmt::format("{}\"{}\"", n > 1 ? ", " : "", name);
  }
  return text;
}

constexpr const char* type_names[] = {"a bool", "an int64", "a float64", "a string"};
static_assert(std::size(type_names) == std::variant_size_v<Attribute>);

std::string describe(const Attribute& attribute) {
  auto value = std::visit(
      [](const auto& v) {
        if constexpr (requires { v.size(); })
          return fmt::format("of {} bytes", v.size());
        else
          return fmt::format("{}", v);
      },
      attribute);
  return fmt::format("{} ({})", type_names[attribute.index()], value);
}

uint64_t bytes_needed(const CheckpointFile& file) {
  uint64_t bytes = seal_bytes;
  for (const auto& [name, array] : file.tensors) bytes += array.defined() ? array.bytes() : 0;
  for (const auto& [name, value] : file.attributes) {
    if (auto* text = std::get_if<std::string>(&value)) bytes += text->size();
  }
  return bytes;
}

std::string shown(const std::filesystem::path& path) {
  return path.empty() ? "this checkpoint" : path.string();
}

}  // namespace

bool CheckpointFile::has(const std::string& name) const {
  return tensors.contains(name) || attributes.contains(name);
}

const Array& CheckpointFile::tensor(const std::string& name) const {
  auto found = tensors.find(name);
  if (found == tensors.end()) {
    fail("{}: no tensor \"{}\"; there are {}", shown(path), name, some_names(tensors));
  }
  return found->second;
}

Array CheckpointFile::take(const std::string& name) {
  Array taken = tensor(name);
  tensors.erase(name);
  return taken;
}

template <class T>
const T& CheckpointFile::attribute(const std::string& name) const {
  const char* expected = type_names[Attribute(T{}).index()];
  auto found = attributes.find(name);
  if (found == attributes.end()) {
    fail("{}: no attribute \"{}\", which should be {}; there are {}", shown(path), name, expected,
         some_names(attributes));
  }
  const T* value = std::get_if<T>(&found->second);
  if (!value) {
    fail("{}: the attribute \"{}\" should be {}, but is {}", shown(path), name, expected,
         describe(found->second));
  }
  return *value;
}

template const bool& CheckpointFile::attribute(const std::string&) const;
template const int64_t& CheckpointFile::attribute(const std::string&) const;
template const double& CheckpointFile::attribute(const std::string&) const;
template const std::string& CheckpointFile::attribute(const std::string&) const;

void save(const std::filesystem::path& path, const CheckpointFile& file) {
  Hdf5Channel channel;
  try {
    ReplacementFile replacement(path);
    channel.fd = replacement.fd();
    write_hdf5(channel, file);
    check(channel.error == 0, "the write failed");
    write_seal(channel.fd, path);
    replacement.commit();
  } catch (const Error& error) {
    std::string reason = channel.error ? strerror(channel.error) : error.what();
    std::string prefix = path.string() + ": ";
    if (reason.starts_with(prefix)) reason.erase(0, prefix.size());
    fail("{}: cannot save: {} ({} bytes are needed); a checkpoint that was there is as it was",
         path.string(), reason, bytes_needed(file));
  }
  sync_directory_of(path);
}

CheckpointFile load(const std::filesystem::path& path) {
  FileDescriptor file = open_file(path, O_RDONLY | O_NONBLOCK);
  check_seal(file.get(), path);
  CheckpointFile content;
  content.path = path;
  Hdf5Channel channel{file.get()};
  try {
    read_hdf5(channel, content);
  } catch (const Error&) {
    if (!channel.error) throw;
  }
  check(channel.error == 0, "{}: cannot read: {}", path.string(), strerror(channel.error));
  return content;
}

}  // namespace folio

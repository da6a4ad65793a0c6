#include "data/safetensors/shards.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/check.h"
#include "data/files/mapped_file.h"
#include "data/text/parse_json.h"

namespace folio {

Shards read_shards(const std::string& path) {
  MappedFile file(path);
  check(file.bytes().size() <= 100'000'000, "{}: {} bytes are too many for an index of shards",
        path, file.bytes().size());
  auto index =
      file.read([&](std::string_view text) { return parse_json<nlohmann::json>(text, path); });
  Shards shards;
  try {
    shards.of_tensor = index.at("weight_map").get<std::map<std::string, std::string>>();
  } catch (const nlohmann::json::exception& error) {
    fail("{}: not an index of shards: {}", path, error.what());
  }
  std::set<std::string> names;
  for (const auto& [name, shard] : shards.of_tensor) {
    check(!shard.empty() && shard.find('/') == std::string::npos && shard != "..",
          "{}: tensor {} is said to be in \"{}\"; a shard lies beside its index", path, name,
          shard);
    names.insert(shard);
  }
  for (const std::string& shard : names)
    shards.files.push_back((std::filesystem::path(path).parent_path() / shard).string());
  return shards;
}

}  // namespace folio

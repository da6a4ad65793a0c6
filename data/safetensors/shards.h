#pragma once
#include <map>
#include <string>
#include <vector>

namespace folio {

// What an index of shards, model.safetensors.index.json or pytorch_model.bin.index.json, says.
struct Shards {
  std::map<std::string, std::string> of_tensor;  // a tensor's name: its file, beside the index
  std::vector<std::string> files;                // their paths, each once
};
// Throws Error, with the path, for a file that is not an index, and for a shard elsewhere.
Shards read_shards(const std::string& path);

}  // namespace folio

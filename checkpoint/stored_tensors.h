#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/array.h"

namespace folio {

// The tensors of a model that PyTorch's users saved, by parameter_name: a .safetensors file, a
// state dict of torch.save (pytorch_model.bin), or the shards that an index, X.index.json, names.
// Throws Error, with the path, for a file that is damaged, holds anything but tensors, or has two
// of one name.
class StoredTensors {
 public:
  explicit StoredTensors(const std::filesystem::path& path);
  ~StoredTensors();

  const std::string& path() const { return path_; }
  // By parameter_name, the name in the file.
  const std::map<std::string, std::string>& names() const { return names_; }
  bool has(const std::string& name) const { return names_.contains(name); }
  // Throws Error for a name that is not there, or a tensor that is not of floating-point numbers.
  const Shape& shape(const std::string& name) const;
  // In f32 or bf16. The array may lie in the mapped file: it must not be written to.
  Array tensor(const std::string& name) const;
  // What a .safetensors file says under that key; "" without it.
  std::string metadata(const std::string& key) const;

 private:
  class Source;
  class OfSafetensors;
  class OfTorch;
  const std::string& stored(const std::string& name) const;

  std::string path_;
  std::unique_ptr<const Source> source_;
  std::map<std::string, std::string> names_;
};

}  // namespace folio

#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/array.h"
#include "data/files/mapped_file.h"
#include "data/safetensors/header.h"

namespace folio {

// The tensors of a safetensors file, or of all the shards that a model.safetensors.index.json
// names, read as they are asked for. The files are mapped, so opening one reads its header alone.
class Safetensors {
 public:
  // Throws Error for a file that is not wholly in order: see read_safetensors_header.
  explicit Safetensors(const std::string& path);

  const std::string& path() const { return path_; }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  std::vector<std::string> names() const;
  // Throws Error for a name that the files lack.
  const Shape& shape(const std::string& name) const;
  // What the files say of themselves under that key; "" without it.
  std::string metadata(const std::string& key) const;
  // On the CPU: f32 (also for f64 and f16 in the file) or bf16. Where it can, the array lies in the
  // mapped file: it is read-only, and check_mapped_files() says whether what was read there is
  // true. Throws Error for a name that the files lack and for other dtypes.
  Array tensor(const std::string& name) const;

 private:
  struct Place {
    std::shared_ptr<const MappedFile> file;
    SafetensorsEntry entry;
  };
  void add_file(const std::string& path);
  void add_index(const std::string& path);
  const Place& place(const std::string& name) const;

  std::string path_;
  std::map<std::string, Place> tensors_;
  std::map<std::string, std::string> metadata_;
};

// One tensor to write: `make` is asked for its contents (f32 or bf16) when its turn comes.
struct SafetensorsSource {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::function<Array()> make;
};
// Writes a file or, on Error, leaves what was there. Tensors come in the order of their names, as
// the format's own library writes them, so that the same content is the same bytes everywhere.
void write_safetensors(const std::string& path, std::vector<SafetensorsSource> tensors,
                       const std::map<std::string, std::string>& metadata);
// The same to an open file, which `path` names in messages. A request to stop ends it between two
// tensors.
void write_safetensors(int fd, const std::string& path, std::vector<SafetensorsSource> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace folio

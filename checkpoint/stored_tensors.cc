#include "checkpoint/stored_tensors.h"

#include <vector>

#include "checkpoint/tensor_names.h"
#include "core/check.h"
#include "data/safetensors/safetensors.h"
#include "data/safetensors/shards.h"
#include "data/torch_file/torch_file.h"

namespace folio {

namespace fs = std::filesystem;

// The tensors under the names that the file has.
class StoredTensors::Source {
 public:
  virtual ~Source() = default;
  virtual std::vector<std::string> names() const = 0;
  virtual const Shape& shape(const std::string& stored) const = 0;
  virtual Array tensor(const std::string& stored) const = 0;
  virtual std::string metadata(const std::string&) const { return ""; }
};

class StoredTensors::OfSafetensors : public Source {
 public:
  explicit OfSafetensors(const std::string& path) : file_(path) {}

  std::vector<std::string> names() const override { return file_.names(); }
  const Shape& shape(const std::string& stored) const override { return file_.shape(stored); }
  Array tensor(const std::string& stored) const override { return file_.tensor(stored); }
  std::string metadata(const std::string& key) const override { return file_.metadata(key); }

 private:
  Safetensors file_;
};

class StoredTensors::OfTorch : public Source {
 public:
  explicit OfTorch(const std::string& path) {
    if (!path.ends_with(".json")) {
      add(path);
    } else {
      for (const auto& shard : read_shards(path).files) add(shard);
    }
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, place] : tensors_) names.push_back(name);
    return names;
  }
  const Shape& shape(const std::string& stored) const override {
    return tensors_.at(stored).tensor.shape;
  }
  Array tensor(const std::string& stored) const override {
    const auto& [file, tensor] = tensors_.at(stored);
    bool number = tensor.dtype == TorchDType::f64 || tensor.dtype == TorchDType::f32 ||
                  tensor.dtype == TorchDType::f16 || tensor.dtype == TorchDType::bf16;
    check(number, "{}: tensor {} holds integers; a weight is of floating-point numbers",
          file->path(), stored);
    return file->read(tensor);
  }

 private:
  struct Place {
    const TorchFile* file;
    TorchTensor tensor;
  };

  void add(const std::string& path) {
    files_.push_back(std::make_unique<TorchFile>(path));
    const TorchFile& file = *files_.back();
    uint64_t bytes = 0;
    for (const auto& [key, value] :
         file.root().get<PickleValue::Dict>(path, "a state dict").items) {
      std::string name = key->get<std::string>(path + ": a tensor's name", "a text");
      Place place{&file, file.tensor(*value, name)};
      // Both names of a tied head are of one storage.
      if (parameter_name(name) != "lm_head.weight") bytes += place.tensor.bytes();
      bool fresh = tensors_.emplace(name, std::move(place)).second;
      check(fresh, "{}: tensor {} is there twice", path, name);
    }
    check(bytes <= file.bytes(),
          "{}: its tensors share their bytes: {} would be needed, the file has {}", path, bytes,
          file.bytes());
  }

  std::vector<std::unique_ptr<TorchFile>> files_;
  std::map<std::string, Place> tensors_;
};

StoredTensors::StoredTensors(const fs::path& path) : path_(path.string()) {
  std::string kind =
      path.extension() == ".json" ? path.stem().stem().extension() : path.extension();
  if (kind == ".safetensors") {
    source_ = std::make_unique<OfSafetensors>(path_);
  } else {
    source_ = std::make_unique<OfTorch>(path_);
  }
  for (std::string& stored : source_->names()) {
    std::string name = parameter_name(stored);
    auto [other, fresh] = names_.emplace(name, stored);
    check(fresh, "{}: tensors {} and {} are one parameter, {}", path_, other->second, stored, name);
  }
}

StoredTensors::~StoredTensors() = default;

const std::string& StoredTensors::stored(const std::string& name) const {
  auto found = names_.find(name);
  check(found != names_.end(), "{}: has no tensor {}", path_, name);
  return found->second;
}

const Shape& StoredTensors::shape(const std::string& name) const {
  return source_->shape(stored(name));
}

Array StoredTensors::tensor(const std::string& name) const { return source_->tensor(stored(name)); }

std::string StoredTensors::metadata(const std::string& key) const { return source_->metadata(key); }

}  // namespace folio

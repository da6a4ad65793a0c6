#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/array.h"
#include "data/files/mapped_file.h"
#include "data/torch_file/pickle.h"
#include "data/torch_file/zip_archive.h"

namespace folio {

enum class TorchDType : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

// A tensor of a TorchFile as the file describes it: element i of dimension d is `stride[d]`
// elements of the storage further on.
struct TorchTensor {
  std::string storage;  // its zip entry
  int64_t storage_size = 0, offset = 0;
  TorchDType dtype = TorchDType::f32;
  Shape shape;
  std::vector<int64_t> stride;

  uint64_t bytes() const;  // in the file, were it alone there
};

// What PyTorch's torch.save wrote (the zip format, 1.6 and later): a pickle beside storages. Reads
// plain values and tensors of the usual dtypes, wherever they were ("cuda:0" too), and executes
// nothing. Throws Error, with the path, for anything else, before memory is taken for it.
class TorchFile {
 public:
  explicit TorchFile(const std::string& path);
  // `bytes` must outlive this.
  TorchFile(std::string_view bytes, std::string path);

  const PickleValue& root() const { return pickle_->root(); }
  const std::string& path() const { return path_; }
  uint64_t bytes() const { return bytes_.size(); }

  static bool is_tensor(const PickleValue& value);
  // Throws Error, which names `name`, for what is not a tensor, or not within its storage, or
  // larger than it (expanded).
  TorchTensor tensor(const PickleValue& value, const std::string& name) const;
  // Its elements as f32, on the CPU.
  Array read(const TorchTensor& tensor) const;

 private:
  void open();
  const std::string& storage_bytes(const TorchTensor& tensor) const;

  std::string path_;
  std::unique_ptr<MappedFile> file_;
  std::string_view bytes_;
  std::unique_ptr<ZipArchive> zip_;
  std::unique_ptr<Pickle> pickle_;
  std::string folder_;  // of every entry, with its '/'
  // The storage read last: tensors that share one come one after the other.
  mutable std::string storage_, storage_bytes_;
};

// True for a file that starts as torch.save's start, now or before PyTorch 1.6.
bool is_torch_file(const std::string& path);

}  // namespace folio

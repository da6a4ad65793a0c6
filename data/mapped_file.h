#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace folio {

// A file's bytes, read from the disk as they are touched: the file may be larger than memory.
class MappedFile {
 public:
  // Error if `path` cannot be opened or is not a regular file.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  std::string_view bytes() const { return {static_cast<const char*>(address_), size_}; }

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

}  // namespace folio

#pragma once
#include <string>
#include <string_view>
#include <type_traits>

#include "core/check.h"
#include "data/files/files.h"

namespace folio {

struct WatchedRange;

// A file's bytes, read from the disk as they are touched: the file may be larger than memory. One
// that becomes shorter meanwhile reads as zeros from there on, so whoever has read must look at
// check_whole() before using it.
class MappedFile {
 public:
  // Error if `path` cannot be opened or is not a regular file.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::string_view bytes() const { return {static_cast<const char*>(address_), size_}; }
  // Error unless all that was read so far was the file's. About a microsecond.
  void check_whole() const;

  // f(bytes()), then check_whole(), whose Error comes before any that zeros made f throw.
  template <class F>
  auto read(F&& f) const {
    try {
      if constexpr (std::is_void_v<decltype(f(bytes()))>) {
        f(bytes());
        check_whole();
      } else {
        auto result = f(bytes());
        check_whole();
        return result;
      }
    } catch (const Error&) {
      check_whole();
      throw;
    }
  }

 private:
  std::string path_;
  FileDescriptor file_;
  void* address_ = nullptr;
  size_t size_ = 0;
  WatchedRange* range_ = nullptr;
};

// check_whole() of every file that is mapped now: after work on Arrays that lie in some of them.
void check_mapped_files();

}  // namespace folio

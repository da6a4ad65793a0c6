#include "data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "core/check.h"
#include "data/files.h"

namespace folio {

MappedFile::MappedFile(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail_errno(path, "open");
  struct stat status;
  if (fstat(file.get(), &status) != 0) fail_errno(path, "stat");
  check(S_ISREG(status.st_mode), "{}: needs a regular file, not a directory, pipe or device", path);
  size_ = size_t(status.st_size);
  if (size_ == 0) return;  // mmap refuses an empty range
  void* address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail_errno(path, "map");
  address_ = address;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (address_) munmap(address_, size_);
}

}  // namespace folio

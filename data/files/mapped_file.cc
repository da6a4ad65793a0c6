#include "data/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <mutex>
#include <set>
#include <utility>

#include "data/files/mapped_range.h"

namespace folio {
namespace {

// The files that are mapped now.
struct Mapped {
  std::mutex mutex;
  std::set<const MappedFile*> files;

  static Mapped& all() {
    static Mapped& instance = *new Mapped;  // outlives every file
    return instance;
  }
};

struct stat status_of(const FileDescriptor& file, const std::string& path) {
  struct stat status {};
  if (retry_on_signal([&] { return fstat(file.get(), &status); }) != 0) fail_errno(path, "stat");
  return status;
}

}  // namespace

MappedFile::MappedFile(const std::string& path)
    : path_(path), file_(open_file(path, O_RDONLY | O_NONBLOCK)) {
  struct stat status = status_of(file_, path);
  check(S_ISREG(status.st_mode), "{}: needs a regular file, not a directory, pipe or device", path);
  size_ = size_t(status.st_size);
  if (size_ == 0) return;  // mmap refuses an empty range
  void* address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_.get(), 0);
  if (address == MAP_FAILED) fail_errno(path, "map");
  address_ = address;
  range_ = watch_range(address_, size_);
  std::lock_guard lock(Mapped::all().mutex);
  Mapped::all().files.insert(this);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::move(other.file_)) {
  std::lock_guard lock(Mapped::all().mutex);
  address_ = std::exchange(other.address_, nullptr);
  size_ = std::exchange(other.size_, 0);
  range_ = std::exchange(other.range_, nullptr);
  if (Mapped::all().files.erase(&other) > 0) Mapped::all().files.insert(this);
}

MappedFile::~MappedFile() {
  if (!address_) return;
  {
    std::lock_guard lock(Mapped::all().mutex);
    Mapped::all().files.erase(this);
  }
  forget_range(range_);
  munmap(address_, size_);
}

void MappedFile::check_whole() const {
  if (!address_) return;
  auto size = size_t(status_of(file_, path_).st_size);
  check(size >= size_,
        "{}: became shorter while it was read, {} bytes instead of {}; give it its contents back, "
        "or start again with those that it has",
        path_, size, size_);
  check(!range_->damaged,
        "{}: could not be read: it was shorter for a while, or its disk has an error; start again",
        path_);
}

void check_mapped_files() {
  std::lock_guard lock(Mapped::all().mutex);
  for (const MappedFile* file : Mapped::all().files) file->check_whole();
}

}  // namespace folio

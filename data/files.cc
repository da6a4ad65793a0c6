#include "data/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "data/replacement_file.h"

namespace folio {

void fail_errno(std::string_view path, std::string_view action) {
  int error = errno;
  fail("{}: cannot {}: {}", path, action, std::strerror(error));
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

void FileDescriptor::close() {
  if (fd_ >= 0) ::close(release());
}

std::string read_file(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail_errno(path, "open");
  std::string contents;
  char buffer[1 << 16];
  for (;;) {
    ssize_t n = read(file.get(), buffer, sizeof buffer);
    if (n == 0) return contents;
    if (n > 0)
      contents.append(buffer, size_t(n));
    else if (errno != EINTR)
      fail_errno(path, "read");
  }
}

void write_all(int fd, std::string_view bytes, std::string_view path) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n >= 0)
      bytes.remove_prefix(size_t(n));
    else if (errno != EINTR)
      fail_errno(path, "write");
  }
}

void write_file(const std::string& path, std::string_view contents) {
  ReplacementFile file(path);
  write_all(file.fd(), contents, path);
  file.commit();
  sync_directory_of(path);
}

}  // namespace folio

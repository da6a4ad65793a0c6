#include "data/files/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "data/files/replacement_file.h"

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

FileDescriptor open_file(const std::string& path, int flags) {
  FileDescriptor file(retry_on_signal([&] { return open(path.c_str(), flags | O_CLOEXEC, 0666); }));
  if (file.get() < 0) fail_errno(path, flags & O_CREAT ? "create" : "open");
  return file;
}

std::string read_file(const std::string& path) {
  FileDescriptor file = open_file(path, O_RDONLY);
  std::string contents;
  char buffer[1 << 16];
  for (;;) {
    ssize_t n = retry_on_signal([&] { return read(file.get(), buffer, sizeof buffer); });
    if (n < 0) fail_errno(path, "read");
    if (n == 0) return contents;
    contents.append(buffer, size_t(n));
  }
}

void write_all(int fd, std::string_view bytes, std::string_view path) {
  while (!bytes.empty()) {
    ssize_t n = retry_on_signal([&] { return write(fd, bytes.data(), bytes.size()); });
    if (n < 0) fail_errno(path, "write");
    bytes.remove_prefix(size_t(n));
  }
}

void write_at(int fd, std::string_view bytes, uint64_t offset, std::string_view path) {
  while (!bytes.empty()) {
    ssize_t n =
        retry_on_signal([&] { return pwrite(fd, bytes.data(), bytes.size(), off_t(offset)); });
    if (n < 0) fail_errno(path, "write");
    bytes.remove_prefix(size_t(n));
    offset += uint64_t(n);
  }
}

size_t read_at(int fd, void* to, size_t size, uint64_t offset, std::string_view path) {
  size_t done = 0;
  while (done < size) {
    ssize_t n = retry_on_signal([&] {
      return pread(fd, static_cast<char*>(to) + done, size - done, off_t(offset + done));
    });
    if (n < 0) fail_errno(path, "read");
    if (n == 0) break;
    done += size_t(n);
  }
  return done;
}

void rename_file(const std::string& from, const std::string& to) {
  if (retry_on_signal([&] { return std::rename(from.c_str(), to.c_str()); }) != 0)
    fail_errno(to, "replace it");
}

void write_file(const std::string& path, std::string_view contents) {
  ReplacementFile file(path);
  write_all(file.fd(), contents, path);
  file.commit();
  sync_directory_of(path);
}

}  // namespace folio

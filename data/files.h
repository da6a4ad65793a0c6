#pragma once
#include <string>
#include <string_view>

namespace folio {

// Throws Error "PATH: cannot ACTION: " and what errno says.
[[noreturn]] void fail_errno(std::string_view path, std::string_view action);

// Closes a file on the way out.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { close(); }

  int get() const { return fd_; }
  int release();
  void close();

 private:
  int fd_ = -1;
};

std::string read_file(const std::string& path);
// All of `contents` or, on Error, what was there before: see ReplacementFile.
void write_file(const std::string& path, std::string_view contents);

// `path` is for the message.
void write_all(int fd, std::string_view bytes, std::string_view path);

}  // namespace folio

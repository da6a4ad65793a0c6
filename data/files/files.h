#pragma once
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace folio {

// The result of a system call, which is made again for as long as signals interrupt it. Not for
// close, which has closed the descriptor even then.
template <class Call>
auto retry_on_signal(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

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

// With O_CLOEXEC. Throws Error.
FileDescriptor open_file(const std::string& path, int flags);

std::string read_file(const std::string& path);
// All of `contents` or, on Error, what was there before: see ReplacementFile.
void write_file(const std::string& path, std::string_view contents);

// In its place, at once. Throws Error.
void rename_file(const std::string& from, const std::string& to);

// `path` is for the message.
void write_all(int fd, std::string_view bytes, std::string_view path);
void write_at(int fd, std::string_view bytes, uint64_t offset, std::string_view path);
// Reads `size` bytes, fewer only at the end of the file; gives how many.
size_t read_at(int fd, void* to, size_t size, uint64_t offset, std::string_view path);

}  // namespace folio

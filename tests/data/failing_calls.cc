#include "tests/data/failing_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>

namespace folio {
namespace {

thread_local bool watching = false, all_later = false;
thread_local int calls = 0, first_to_fail = 0, reason = 0;

bool fails() {
  if (!watching) return false;
  ++calls;
  if (calls != first_to_fail && !(all_later && first_to_fail > 0 && calls > first_to_fail))
    return false;
  errno = reason;
  return true;
}

// The definition of `name` that this one stands in front of.
template <class Function>
Function* next(const char* name, Function*) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

FailingCalls::FailingCalls(int first, int error, Then then) {
  calls = 0, first_to_fail = first, reason = error;
  all_later = then == Then::from_then_on, watching = true;
}
FailingCalls::~FailingCalls() { watching = false; }
int FailingCalls::made() const { return calls; }

}  // namespace folio

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  static auto* library = folio::next("open", &open);
  return folio::fails() ? -1 : library(path, flags, mode);
}

ssize_t read(int fd, void* to, size_t size) {
  static auto* library = folio::next("read", &read);
  return folio::fails() ? -1 : library(fd, to, size);
}

ssize_t write(int fd, const void* from, size_t size) {
  static auto* library = folio::next("write", &write);
  return folio::fails() ? -1 : library(fd, from, size);
}

ssize_t pread(int fd, void* to, size_t size, off_t at) {
  static auto* library = folio::next("pread", &pread);
  return folio::fails() ? -1 : library(fd, to, size, at);
}

ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  static auto* library = folio::next("pwrite", &pwrite);
  return folio::fails() ? -1 : library(fd, from, size, at);
}

int ftruncate(int fd, off_t size) noexcept {
  static auto* library = folio::next("ftruncate", &ftruncate);
  return folio::fails() ? -1 : library(fd, size);
}

int fsync(int fd) {
  static auto* library = folio::next("fsync", &fsync);
  return folio::fails() ? -1 : library(fd);
}

int fstat(int fd, struct stat* status) noexcept {
  static auto* library = folio::next("fstat", &fstat);
  return folio::fails() ? -1 : library(fd, status);
}

int flock(int fd, int operation) noexcept {
  static auto* library = folio::next("flock", &flock);
  return folio::fails() ? -1 : library(fd, operation);
}

int rename(const char* from, const char* to) noexcept {
  static auto* library = folio::next("rename", &rename);
  return folio::fails() ? -1 : library(from, to);
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

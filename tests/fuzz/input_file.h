#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "data/files/files.h"

namespace folio {

// A file that is written anew for every input, without the care that folio takes for a user's.
class InputFile {
 public:
  explicit InputFile(std::string path)
      : path_(std::move(path)), file_(open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    check(file_.get() >= 0, "cannot make {}", path_);
  }
  const std::string& path() const { return path_; }
  int fd() const { return file_.get(); }
  void write(std::string_view bytes) const {
    bool done = pwrite(fd(), bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()) &&
                ftruncate(fd(), off_t(bytes.size())) == 0;
    check(done, "cannot write {}", path_);
  }

 private:
  std::string path_;
  FileDescriptor file_;
};

// The input as `n` texts: what stands between two bytes 0xff, which UTF-8 never has. The last takes
// the rest.
inline std::vector<std::string_view> split(std::string_view input, size_t n) {
  std::vector<std::string_view> parts(n);
  for (size_t i = 0; i < n; ++i) {
    size_t cut = i + 1 < n ? input.find("\xff\xff") : input.npos;
    parts[i] = input.substr(0, cut);
    input = cut == input.npos ? std::string_view() : input.substr(cut + 2);
  }
  return parts;
}

// What must hold of an input that was accepted; anything else is a finding.
inline void require(bool ok) {
  if (!ok) std::abort();
}

// Arrays' memory, which libFuzzer's -malloc_limit_mb does not see: inputs have some KB.
inline void require_little_memory() {
  require(backend(cpu)->memory.use().peak <= size_t{64} << 20);
}

}  // namespace folio

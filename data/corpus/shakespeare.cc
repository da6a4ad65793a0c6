#include "data/corpus/shakespeare.h"

#include <filesystem>

#include "core/check.h"
#include "core/process/progress_line.h"
#include "data/files/mapped_file.h"
#include "data/files/sha256.h"

namespace folio {

const RemoteFile& tiny_shakespeare() {
  static const RemoteFile file{
      "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
      1115394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"};
  return file;
}

std::string published_text(const std::string& directory, const RemoteFile& file,
                           FetchOptions options) {
  std::string path = directory + "/input.txt";
  if (std::filesystem::exists(path) && hex(sha256(MappedFile(path).bytes())) == file.sha256)
    return path;
  ProgressLine line("downloading " + path, file.bytes, 0);
  options.progress = [&](int64_t done, int64_t) { line.update(done); };
  try {
    fetch(file, path, options);
  } catch (const Error& e) {
    fail(
        "{}\nIf you have the text, or any other, give it as a file: folio prepare shakespeare_char "
        "--input=FILE",
        e.what());
  }
  return path;
}

}  // namespace folio

#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/files/files.h"

namespace folio {

// An event file for TensorBoard: protobuf messages (event.proto), each as a TFRecord with its
// length and CRC-32C checksums. Records are written whole, one after the other; what a kill cuts
// short at the end readers pass over. Throws Error for what cannot be written.
class EventFile {
 public:
  // A new file in `folder`, which is made. Of earlier files there TensorBoard drops what they say
  // of steps from `first` on.
  EventFile(const std::filesystem::path& folder, int64_t first);

  void scalars(int64_t step, const std::vector<std::pair<std::string, double>>& values);
  void text(int64_t step, const std::string& tag, const std::string& text);  // shown as it is

  const std::string& path() const { return path_; }

 private:
  void add(const std::string& message);

  std::string path_;
  FileDescriptor file_;
};

// `message` as a TFRecord: its length, a checksum of that, itself, a checksum of it; little-endian.
std::string tf_record(std::string_view message);

}  // namespace folio

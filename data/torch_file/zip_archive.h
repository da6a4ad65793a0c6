#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct zip;

namespace folio {

// The entries of a zip archive that are stored as they are: neither compressed nor encrypted.
class ZipArchive {
 public:
  // `bytes` must outlive this; `path` is for messages. Throws Error if they are no zip archive.
  ZipArchive(std::string_view bytes, std::string path);

  // Of the one entry whose name ends with `suffix`, its whole name; Error without one or with
  // several.
  std::string name_ending_with(std::string_view suffix) const;
  // Bytes of an entry, no more than the archive has; nothing if there is none of that name. Throws
  // Error for one that is compressed or encrypted.
  std::optional<uint64_t> size(const std::string& name) const;
  // Fills `to` with the entry, which must be that long. Throws Error if its CRC-32 is wrong.
  void read(const std::string& name, char* to, uint64_t size) const;
  std::string read(const std::string& name) const;

 private:
  struct Close {
    void operator()(zip* archive) const;
  };
  std::string path_;
  size_t bytes_;
  std::unique_ptr<zip, Close> archive_;
};

}  // namespace folio

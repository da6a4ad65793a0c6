#include "data/torch_file/zip_archive.h"

#include <zip.h>

#include "core/check.h"

namespace folio {
namespace {

struct CloseEntry {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

class ZipError {
 public:
  ZipError() { zip_error_init(&error_); }
  ~ZipError() { zip_error_fini(&error_); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  zip_error_t* get() { return &error_; }
  const char* what() { return zip_error_strerror(&error_); }

 private:
  zip_error_t error_;
};

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(std::string_view bytes, std::string path)
    : path_(std::move(path)), bytes_(bytes.size()) {
  ZipError error;
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, error.get());
  check(source != nullptr, "{}: cannot be read as a zip archive: {}", path_, error.what());
  archive_.reset(zip_open_from_source(source, ZIP_RDONLY, error.get()));
  if (archive_) return;
  zip_source_free(source);
  fail("{}: not a whole zip archive: {}", path_, error.what());
}

std::string ZipArchive::name_ending_with(std::string_view suffix) const {
  std::string found;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive_.get(), 0); ++i) {
    const char* name = zip_get_name(archive_.get(), zip_uint64_t(i), ZIP_FL_ENC_RAW);
    if (!name || !std::string_view(name).ends_with(suffix)) continue;
    check(found.empty(), "{}: has both {} and {}", path_, found, name);
    found = name;
  }
  check(!found.empty(), "{}: has no {}", path_, suffix);
  return found;
}

std::optional<uint64_t> ZipArchive::size(const std::string& name) const {
  zip_stat_t status;
  if (zip_stat(archive_.get(), name.c_str(), ZIP_FL_ENC_RAW, &status) != 0) return {};
  bool known = (status.valid & ZIP_STAT_SIZE) && (status.valid & ZIP_STAT_COMP_METHOD) &&
               (status.valid & ZIP_STAT_COMP_SIZE);
  check(
      known && status.comp_method == ZIP_CM_STORE && status.comp_size == status.size &&
          (!(status.valid & ZIP_STAT_ENCRYPTION_METHOD) || status.encryption_method == ZIP_EM_NONE),
      "{}: its entry {} is compressed or encrypted, but torch.save stores all as it is", path_,
      name);
  check(status.size <= bytes_, "{}: its entry {} has {} bytes, the whole file {}", path_, name,
        status.size, bytes_);
  return status.size;
}

void ZipArchive::read(const std::string& name, char* to, uint64_t size) const {
  check(this->size(name) == size, "{}: its entry {} is not of {} bytes", path_, name, size);
  std::unique_ptr<zip_file_t, CloseEntry> file(
      zip_fopen(archive_.get(), name.c_str(), ZIP_FL_ENC_RAW));
  check(file != nullptr, "{}: cannot read its entry {}: {}", path_, name,
        zip_strerror(archive_.get()));
  char beyond;  // reading it makes libzip compare the CRC-32
  for (uint64_t done = 0; done <= size;) {
    zip_int64_t got = done < size ? zip_fread(file.get(), to + done, size - done)
                                  : zip_fread(file.get(), &beyond, 1);
    check(got >= 0, "{}: its entry {} is damaged: {}", path_, name, zip_file_strerror(file.get()));
    if (got == 0 && done == size) return;
    check(got > 0, "{}: its entry {} ends after {} of {} bytes", path_, name, done, size);
    done += uint64_t(got);
  }
  fail("{}: its entry {} is longer than its {} bytes", path_, name, size);
}

std::string ZipArchive::read(const std::string& name) const {
  std::optional<uint64_t> bytes = size(name);
  check(bytes.has_value(), "{}: has no {}", path_, name);
  std::string content(size_t(*bytes), '\0');
  read(name, content.data(), *bytes);
  return content;
}

}  // namespace folio

#include "data/npz/npz.h"

#include <fmt/ranges.h>
#include <zip.h>

#include <memory>

#include "core/check.h"
#include "data/files/files.h"

namespace folio {
namespace {

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct FreeSource {
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};
using Source = std::unique_ptr<zip_source_t, FreeSource>;

void add(zip_t* archive, const NpzArray& array, std::string& contents, const std::string& path) {
  contents = npy_header(array.shape, array.dtype);
  contents += array.bytes;
  zip_source_t* source = zip_source_buffer(archive, contents.data(), contents.size(), 0);
  const std::string name = array.name + ".npy";
  const zip_int64_t at =
      source ? zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
  if (at < 0 && source) zip_source_free(source);
  check(at >= 0 && zip_set_file_compression(archive, zip_uint64_t(at), ZIP_CM_STORE, 0) == 0,
        "{}: cannot add {}: {}", path, name, zip_strerror(archive));
  zip_file_set_mtime(archive, zip_uint64_t(at), 315619200, 0);  // 1980-01-02: the same bytes always
}

std::string all_of(zip_source_t* source, const std::string& path) {
  zip_stat_t status;
  check(zip_source_stat(source, &status) == 0 && zip_source_open(source) == 0,
        "{}: the archive cannot be put together", path);
  std::string bytes(status.size, '\0');
  const zip_int64_t read = zip_source_read(source, bytes.data(), bytes.size());
  zip_source_close(source);
  check(read == zip_int64_t(bytes.size()), "{}: the archive cannot be put together", path);
  return bytes;
}

}  // namespace

std::string npy_header(const std::vector<int64_t>& shape, std::string_view dtype) {
  const std::string dict =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", dtype,
                  fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t length = (10 + dict.size() + 1 + 63) / 64 * 64 - 10;
  std::string header("\x93NUMPY\x01\x00", 8);
  header += {char(length & 0xff), char(length >> 8)};
  header += dict;
  header.resize(10 + length - 1, ' ');
  return header + "\n";
}

void write_npz(const std::string& path, const std::vector<NpzArray>& arrays) {
  zip_error_t error;
  zip_error_init(&error);
  Source target(zip_source_buffer_create(nullptr, 0, 0, &error));
  check(target != nullptr, "{}: {}", path, zip_error_strerror(&error));
  zip_source_keep(target.get());  // the archive's own, and this one
  std::unique_ptr<zip_t, Discard> archive(zip_open_from_source(target.get(), ZIP_TRUNCATE, &error));
  check(archive != nullptr, "{}: {}", path, zip_error_strerror(&error));
  std::vector<std::string> contents(arrays.size());  // until the archive is closed
  for (size_t i = 0; i < arrays.size(); ++i) add(archive.get(), arrays[i], contents[i], path);
  check(zip_close(archive.get()) == 0, "{}: {}", path, zip_strerror(archive.get()));
  static_cast<void>(archive.release());
  write_file(path, all_of(target.get(), path));
}

}  // namespace folio

#include "data/corpus/dataset_writer.h"

#include <unistd.h>

#include <filesystem>

#include "core/check.h"
#include "data/files.h"

namespace folio {
namespace {

constexpr size_t buffer_bytes = 1 << 16;

std::string made(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  check(!error, "{}: cannot make this folder: {}", directory, error.message());
  return directory;
}

}  // namespace

DatasetWriter::DatasetWriter(const std::string& directory)
    : directory_(made(directory)), train_(directory + "/train.bin"), val_(directory + "/val.bin") {}

void DatasetWriter::add(Split split, std::span<const int32_t> ids) {
  TokenStream& file = split == Split::train ? train_ : val_;
  for (int32_t id : ids) {  // 16 bits, little-endian
    file.buffer += char(id & 0xff);
    file.buffer += char(id >> 8);
    if (file.buffer.size() >= buffer_bytes) flush(file);
  }
  file.tokens += int64_t(ids.size());
}

void DatasetWriter::flush(TokenStream& file) {
  write_all(file.file.fd(), file.buffer, file.path);
  file.buffer.clear();
}

void DatasetWriter::commit(Meta meta) {
  meta.train_tokens = train_.tokens;
  meta.val_tokens = val_.tokens;
  std::string path = directory_ + "/meta.json";
  ReplacementFile description(path);
  flush(train_);
  flush(val_);
  write_all(description.fd(), to_json(meta), path);
  // All files are on the disk, or it is full, before the first takes its name.
  for (ReplacementFile* file : {&train_.file, &val_.file, &description})
    if (fsync(file->fd()) != 0) fail_errno(directory_, "write to the disk");
  for (ReplacementFile* file : {&train_.file, &val_.file, &description}) file->commit();
  sync_directory_of(path);
}

}  // namespace folio

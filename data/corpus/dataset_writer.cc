#include "data/corpus/dataset_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "core/check.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/files/fingerprint.h"
#include "data/files/mapped_file.h"

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

DatasetWriter::DatasetWriter(const std::string& directory, int64_t vocab_size)
    : directory_(made(directory)),
      vocab_size_(vocab_size),
      train_(directory + "/train.bin"),
      val_(directory + "/val.bin") {}

void DatasetWriter::add(Split split, std::span<const int32_t> ids) {
  TokenStream& file = split == Split::train ? train_ : val_;
  append_tokens(file.buffer, ids, vocab_size_);
  file.tokens += int64_t(ids.size());
  if (file.buffer.size() >= buffer_bytes) flush(file);
}

void DatasetWriter::flush(TokenStream& file) {
  write_all(file.file.fd(), file.buffer, file.path);
  file.hash.update(file.buffer);
  file.buffer.clear();
  // The disk begins early, so that the sync at the end, which nothing can interrupt, is short.
  constexpr int64_t stretch = 16 << 20;
  int64_t written = token_bytes(vocab_size_) * file.tokens;
  if (written - file.synced < stretch) return;
  sync_file_range(file.file.fd(), file.synced, written - file.synced, SYNC_FILE_RANGE_WRITE);
  file.synced = written;
}

void DatasetWriter::add_file(const std::string& name, std::string_view contents) {
  std::string path = directory_ + "/" + name;
  write_all(others_.emplace_back(path).fd(), contents, path);
}

void DatasetWriter::commit(Meta meta) {
  meta.train_tokens = train_.tokens;
  meta.val_tokens = val_.tokens;
  flush(train_);
  flush(val_);
  meta.train_sha256 = hex(train_.hash.digest());
  meta.val_sha256 = hex(val_.hash.digest());
  meta.train_fingerprint = hex(fingerprint(MappedFile(train_.file.temporary()).bytes()));
  meta.val_fingerprint = hex(fingerprint(MappedFile(val_.file.temporary()).bytes()));
  std::string path = directory_ + "/meta.json";
  ReplacementFile description(path);
  write_all(description.fd(), to_json(meta), path);
  // The description first: it knows its own two files from any others, which an earlier version's
  // does not.
  std::vector<ReplacementFile*> files{&description};
  for (ReplacementFile& other : others_) files.push_back(&other);
  for (TokenStream* stream : {&train_, &val_}) files.push_back(&stream->file);
  // All files are on the disk, or it is full, before the first takes its name.
  for (ReplacementFile* file : files) {
    throw_if_stopped();
    if (retry_on_signal([&] { return fsync(file->fd()); }) != 0)
      fail_errno(directory_, "write to the disk");
  }
  throw_if_stopped();
  for (ReplacementFile* file : files) file->commit();
  sync_directory_of(path);
}

}  // namespace folio

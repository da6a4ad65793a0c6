#include "data/hdf5/seal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/files/sha256.h"

namespace folio {
namespace {

constexpr size_t version_at = 8, block_size_at = 12, payload_at = 16, digest_at = 24,
                 digest_end = 56;
constexpr char magic[] = "\211folio\r\n";  // like PNG's: not text, and line-ending changes show
constexpr char hdf5_magic[] = "\211HDF\r\n\032\n";

using Seal = std::array<unsigned char, seal_bytes>;
static_assert(sizeof(Digest) == digest_end - digest_at);

template <class T>
void put(Seal& seal, size_t at, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    seal[at + i] = static_cast<unsigned char>(value >> (8 * i));
}

template <class T>
T get(const Seal& seal, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= T(seal[at + i]) << (8 * i);
  return value;
}

uint64_t size_of_file(int fd, const std::filesystem::path& path) {
  struct stat status {};
  if (retry_on_signal([&] { return fstat(fd, &status); }) != 0) fail_errno(path.string(), "read");
  check(S_ISREG(status.st_mode), "{}: not a regular file", path.string());
  return uint64_t(status.st_size);
}

void read_whole(int fd, const std::filesystem::path& path, uint64_t at, void* to, size_t n) {
  size_t got = read_at(fd, to, n, at, path.string());
  check(got == n, "{}: damaged: the file ended at byte {} while it was read", path.string(),
        at + got);
}

std::string_view text(const unsigned char* bytes, size_t n) {
  return {reinterpret_cast<const char*>(bytes), n};
}

Digest digest(int fd, const std::filesystem::path& path, const Seal& seal, uint64_t size) {
  Sha256 hash;
  hash.update(text(seal.data(), digest_at));
  hash.update(text(seal.data() + digest_end, seal_bytes - digest_end));
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<unsigned char> block(size_t(std::min<uint64_t>(1 << 20, size)));
  for (uint64_t at = seal_bytes; at < size;) {
    Interruptible::check();
    size_t n = size_t(std::min<uint64_t>(block.size(), size - at));
    read_whole(fd, path, at, block.data(), n);
    hash.update(text(block.data(), n));
    at += n;
  }
  return hash.digest();
}

constexpr const char* advice = "restore last.h5, ckpt.h5 or an older copy";

}  // namespace

void write_seal(int fd, const std::filesystem::path& path) {
  uint64_t size = size_of_file(fd, path);
  Seal seal{};
  std::memcpy(seal.data(), magic, 8);
  put(seal, version_at, checkpoint_version);
  put(seal, block_size_at, uint32_t(seal_bytes));
  put(seal, payload_at, size - seal_bytes);
  Digest sum = digest(fd, path, seal, size);
  std::copy(sum.begin(), sum.end(), seal.begin() + digest_at);
  write_at(fd, text(seal.data(), seal.size()), 0, path.string());
}

void check_seal(int fd, const std::filesystem::path& path) {
  uint64_t size = size_of_file(fd, path);
  Seal seal{};
  read_whole(fd, path, 0, seal.data(), size_t(std::min(size, seal_bytes)));
  bool plain_hdf5 = std::memcmp(seal.data(), hdf5_magic, 8) == 0;
  check(!plain_hdf5, "{}: an HDF5 file, but not a folio checkpoint: it has no digest",
        path.string());
  check(size > 0, "{}: damaged: the file is empty; {}", path.string(), advice);
  check(std::memcmp(seal.data(), magic, 8) == 0,
        "{}: not a folio checkpoint, or damaged in its first 8 bytes; if it was one, {}",
        path.string(), advice);
  check(size >= seal_bytes, "{}: damaged: {} bytes are left of it; {}", path.string(), size,
        advice);
  auto payload = get<uint64_t>(seal, payload_at);
  check(payload == size - seal_bytes, "{}: damaged: {} bytes after its header, which says {}; {}",
        path.string(), size - seal_bytes, payload, advice);
  Digest actual = digest(fd, path, seal, size);
  Digest expected;
  std::copy_n(seal.begin() + digest_at, expected.size(), expected.begin());
  check(actual == expected, "{}: damaged: its digest is {}..., its header says {}...; {}",
        path.string(), hex(actual).substr(0, 16), hex(expected).substr(0, 16), advice);
  auto version = get<uint32_t>(seal, version_at);
  check(version == checkpoint_version && get<uint32_t>(seal, block_size_at) == seal_bytes,
        "{}: checkpoint format {}, but this build reads format {}; use the folio that wrote it",
        path.string(), version, checkpoint_version);
}

}  // namespace folio

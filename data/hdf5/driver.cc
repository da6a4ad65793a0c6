#include "data/hdf5/driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include "data/files/files.h"

namespace folio {
namespace {

// Metadata written since a failure, in order: HDF5 may read it again as it closes the file.
using Unwritten = std::vector<std::pair<haddr_t, std::string>>;

// Addresses count from the start of the file, user block included.
struct ChannelFile {
  H5FD_t base;  // HDF5's own part comes first
  Hdf5Channel* channel;
  haddr_t end_allocated;
  haddr_t end;
  Unwritten* unwritten;
};
static_assert(std::is_standard_layout_v<ChannelFile>);

ChannelFile& self(H5FD_t* file) { return *reinterpret_cast<ChannelFile*>(file); }
const ChannelFile& self(const H5FD_t* file) { return *reinterpret_cast<const ChannelFile*>(file); }

void note_error(ChannelFile& file) {
  if (!file.channel->error) file.channel->error = errno;
}

H5FD_t* open_channel(const char*, unsigned, hid_t fapl, haddr_t) {
  const void* info = H5Pget_driver_info(fapl);
  if (!info) return nullptr;
  auto* channel = *static_cast<Hdf5Channel* const*>(info);
  struct stat status {};
  if (retry_on_signal([&] { return fstat(channel->fd, &status); }) != 0) {
    channel->error = errno;
    return nullptr;
  }
  auto* file = new (std::nothrow) ChannelFile{{}, channel, 0, haddr_t(status.st_size), nullptr};
  return file ? &file->base : nullptr;
}

herr_t close_channel(H5FD_t* file) {
  delete self(file).unwritten;
  delete &self(file);
  return 0;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  int x = self(a).channel->fd, y = self(b).channel->fd;
  return x < y ? -1 : x > y;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_ACCUMULATE_METADATA;
  return 0;
}

haddr_t get_end_allocated(const H5FD_t* file, H5FD_mem_t) { return self(file).end_allocated; }
herr_t set_end_allocated(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  self(file).end_allocated = end;
  return 0;
}
haddr_t get_end(const H5FD_t* file, H5FD_mem_t) { return self(file).end; }

// What lies in `unwritten` of the `size` bytes from `at` on, into `to`.
void overlay(const Unwritten& unwritten, haddr_t at, size_t size, char* to) {
  for (const auto& [begin, bytes] : unwritten) {
    haddr_t first = std::max(at, begin), last = std::min(at + size, begin + bytes.size());
    if (first < last) std::memcpy(to + (first - at), &bytes[first - begin], last - first);
  }
}

herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, void* to) {
  ChannelFile& f = self(file);
  auto* bytes = static_cast<char*>(to);
  size_t done = 0;
  while (done < size) {
    ssize_t got = retry_on_signal(
        [&] { return pread(f.channel->fd, bytes + done, size - done, off_t(at + done)); });
    if (got < 0) note_error(f);
    if (got <= 0) break;
    done += size_t(got);
  }
  std::memset(bytes + done, 0, size - done);  // past the end, as this call's contract says
  if (f.unwritten) overlay(*f.unwritten, at, size, bytes);
  return 0;
}

herr_t write(H5FD_t* file, H5FD_mem_t kind, hid_t, haddr_t at, size_t size, const void* from) {
  ChannelFile& f = self(file);
  const auto* bytes = static_cast<const char*>(from);
  f.end = std::max(f.end, at + size);
  size_t done = 0;
  while (done < size && !f.channel->error) {
    ssize_t put = retry_on_signal(
        [&] { return pwrite(f.channel->fd, bytes + done, size - done, off_t(at + done)); });
    if (put == 0) errno = ENOSPC;
    if (put <= 0)
      note_error(f);
    else
      done += size_t(put);
  }
  if (done == size || kind == H5FD_MEM_DRAW) return 0;
  try {
    if (!f.unwritten) f.unwritten = new Unwritten;
    f.unwritten->emplace_back(at + done, std::string(bytes + done, size - done));
  } catch (const std::bad_alloc&) {
    return -1;
  }
  return 0;
}

herr_t truncate(H5FD_t* file, hid_t, hbool_t) {
  ChannelFile& f = self(file);
  if (f.channel->error || f.end == f.end_allocated) return 0;
  if (retry_on_signal([&] { return ftruncate(f.channel->fd, off_t(f.end_allocated)); }) != 0)
    note_error(f);
  f.end = f.end_allocated;
  return 0;
}

hid_t register_driver() {
  H5FD_class_t driver{};
#if H5_VERSION_GE(1, 13, 0)
  driver.version = H5FD_CLASS_VERSION;
  driver.value = H5FD_class_value_t(600);  // of the range for private drivers
#endif
  driver.name = "folio_channel";
  driver.maxaddr = haddr_t(INT64_MAX);
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(Hdf5Channel*);
  driver.open = open_channel;
  driver.close = close_channel;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = get_end_allocated;
  driver.set_eoa = set_end_allocated;
  driver.get_eof = get_end;
  driver.read = read;
  driver.write = write;
  driver.truncate = truncate;
  const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return H5FDregister(&driver);
}

}  // namespace

herr_t set_channel(hid_t fapl, Hdf5Channel& channel) {
  static const hid_t driver = register_driver();
  Hdf5Channel* info = &channel;
  return H5Pset_driver(fapl, driver, &info);
}

}  // namespace folio

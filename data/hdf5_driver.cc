#include "data/hdf5_driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <type_traits>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

namespace folio {
namespace {

// Addresses count from the start of the file, user block included.
struct ChannelFile {
  H5FD_t base;  // HDF5's own part comes first
  Hdf5Channel* channel;
  haddr_t end_allocated;
  haddr_t end;
};
static_assert(std::is_standard_layout_v<ChannelFile>);

ChannelFile& self(H5FD_t* file) { return *reinterpret_cast<ChannelFile*>(file); }
const ChannelFile& self(const H5FD_t* file) { return *reinterpret_cast<const ChannelFile*>(file); }

H5FD_t* open_channel(const char*, unsigned, hid_t fapl, haddr_t) {
  const void* info = H5Pget_driver_info(fapl);
  if (!info) return nullptr;
  auto* channel = *static_cast<Hdf5Channel* const*>(info);
  struct stat status {};
  if (fstat(channel->fd, &status) != 0) {
    channel->error = errno;
    return nullptr;
  }
  auto* file = new (std::nothrow) ChannelFile{{}, channel, 0, haddr_t(status.st_size)};
  return file ? &file->base : nullptr;
}

herr_t close_channel(H5FD_t* file) {
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

herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, void* to) {
  ChannelFile& f = self(file);
  auto* bytes = static_cast<char*>(to);
  while (size > 0) {
    ssize_t got = pread(f.channel->fd, bytes, size, off_t(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      if (!f.channel->error) f.channel->error = errno;
      return -1;
    }
    if (got == 0) {  // past the end: zeros, as the contract of this call says
      std::memset(bytes, 0, size);
      return 0;
    }
    bytes += got, at += haddr_t(got), size -= size_t(got);
  }
  return 0;
}

herr_t write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, const void* from) {
  ChannelFile& f = self(file);
  const auto* bytes = static_cast<const char*>(from);
  f.end = std::max(f.end, at + size);
  if (f.channel->error) return 0;
  while (size > 0) {
    ssize_t put = pwrite(f.channel->fd, bytes, size, off_t(at));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      f.channel->error = put < 0 ? errno : ENOSPC;
      return -1;
    }
    bytes += put, at += haddr_t(put), size -= size_t(put);
  }
  return 0;
}

herr_t truncate(H5FD_t* file, hid_t, hbool_t) {
  ChannelFile& f = self(file);
  if (f.channel->error || f.end == f.end_allocated) return 0;
  if (ftruncate(f.channel->fd, off_t(f.end_allocated)) != 0) {
    f.channel->error = errno;
    return -1;
  }
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

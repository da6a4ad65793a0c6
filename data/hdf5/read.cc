#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/backend.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "data/hdf5/content.h"
#include "data/hdf5/types.h"

namespace folio {
namespace {

// Calls get(buffer, size), which returns a name's length, as HDF5's name calls want it.
template <class Get>
std::string read_name(Get&& get, std::string_view what) {
  auto size = size_t(hdf5_check(get(nullptr, 0), what));
  std::string name(size, '\0');
  hdf5_check(get(name.data(), size + 1), what);
  return name;
}

// Reads the tensors of a file. Whatever is written there, no more memory is taken and no more
// objects are opened than the file's bytes can stand for, and no other file is.
class TensorReader {
 public:
  TensorReader(const Hdf5Channel& channel, CheckpointFile& file, uint64_t bytes)
      : channel_(channel),
        file_(file),
        bytes_left_(bytes),
        objects_left_(bytes / least_object_bytes) {}

  void read_group(hid_t group, const std::string& prefix);

 private:
  static constexpr uint64_t least_object_bytes = 16;  // an object header's first part

  Array read_tensor(hid_t dataset, const std::string& what);

  const Hdf5Channel& channel_;
  CheckpointFile& file_;
  uint64_t bytes_left_, objects_left_;
};

Array TensorReader::read_tensor(hid_t dataset, const std::string& what) {
  DType dtype = dtype_of_hdf5(Hdf5Handle(H5Dget_type(dataset), what), what);
  Hdf5Handle properties(H5Dget_create_plist(dataset), what);
  check(H5Pget_layout(properties) == H5D_CONTIGUOUS && H5Pget_external_count(properties) == 0,
        "{}: not one piece of this file, as folio writes it", what);
  Hdf5Handle space(H5Dget_space(dataset), what);
  int rank = hdf5_check(H5Sget_simple_extent_ndims(space), what);
  check(rank <= Shape::max_rank, "{}: {} dimensions, but an array has at most {}", what, rank,
        Shape::max_rank);
  hsize_t dims[Shape::max_rank];
  hdf5_check(H5Sget_simple_extent_dims(space, dims, nullptr), what);
  std::vector<int64_t> sizes(dims, dims + rank);
  Shape shape{std::span<const int64_t>(sizes)};
  check(uint64_t(shape.size()) <= bytes_left_ / size_of(dtype),
        "{}: {} {} are more bytes than the file has", what, shape, dtype);
  Array array(shape, dtype, cpu);
  if (array.size() == 0) return array;
  bytes_left_ -= array.bytes();
  auto read = [&](void* to) {
    hdf5_check(
        H5Dread(dataset, hdf5_type(dtype, Hdf5Side::memory), H5S_ALL, H5S_ALL, H5P_DEFAULT, to),
        what);
  };
  backend(array)->memory.write(read, array);
  return array;
}

void TensorReader::read_group(hid_t group, const std::string& prefix) {
  std::string where = fmt::format("{}: the group \"{}\"", file_.path.string(), prefix);
  H5G_info_t info{};
  hdf5_check(H5Gget_info(group, &info), where);
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    Interruptible::check();
    std::string name = read_name(
        [&](char* to, size_t size) {
          return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, to, size,
                                    H5P_DEFAULT);
        },
        where);
    std::string full = prefix + name;
    std::string what = fmt::format("{}: the tensor \"{}\"", file_.path.string(), full);
    H5L_info_t link{};
    hdf5_check(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT), what);
    check(link.type == H5L_TYPE_HARD, "{}: a link to elsewhere", what);
    constexpr ptrdiff_t most_groups = 16;
    check(objects_left_-- > 0 && std::ranges::count(full, '/') < most_groups,
          "{}: its groups hold each other", what);
    Hdf5Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), what);
    H5I_type_t kind = H5Iget_type(object);
    check(kind == H5I_GROUP || kind == H5I_DATASET, "{}: neither a group nor a dataset", what);
    if (kind == H5I_GROUP) {
      read_group(object, full + "/");
    } else {
      file_.tensors.emplace(full, read_tensor(object, what));
      check(channel_.error == 0, "{}: the read failed", what);
    }
  }
}

// The memory of `value`, as written by H5Aread for `type`, goes back to HDF5 at the end of scope.
struct Reclaim {
  hid_t type, space;
  void* value;
  ~Reclaim() { H5Dvlen_reclaim(type, space, H5P_DEFAULT, value); }
};

std::string read_string(hid_t attribute, hid_t space, bool as_bytes, const std::string& what) {
  if (as_bytes) {
    hvl_t bytes{};
    Hdf5Handle type = hdf5_bytes();
    hdf5_check(H5Aread(attribute, type, &bytes), what);
    Reclaim reclaim{type, space, &bytes};
    return {static_cast<const char*>(bytes.p), bytes.len};
  }
  char* text = nullptr;
  Hdf5Handle type = hdf5_string();
  hdf5_check(H5Aread(attribute, type, &text), what);
  Reclaim reclaim{type, space, &text};
  return text ? text : "";
}

Attribute read_attribute(hid_t attribute, const std::string& what) {
  Hdf5Handle type(H5Aget_type(attribute), what), space(H5Aget_space(attribute), what);
  check(H5Sget_simple_extent_type(space) == H5S_SCALAR, "{}: not a single value", what);
  auto is = [&](hid_t other) { return hdf5_check(H5Tequal(type, other), what) > 0; };
  if (is(hdf5_bool())) {
    int8_t value = 0;
    hdf5_check(H5Aread(attribute, type, &value), what);
    return value != 0;
  }
  if (is(H5T_STD_I64LE)) {
    int64_t value = 0;
    hdf5_check(H5Aread(attribute, H5T_NATIVE_INT64, &value), what);
    return value;
  }
  if (is(H5T_IEEE_F64LE)) {
    double value = 0;
    hdf5_check(H5Aread(attribute, H5T_NATIVE_DOUBLE, &value), what);
    return value;
  }
  bool as_bytes = is(hdf5_bytes());
  check(as_bytes || is(hdf5_string()), "{}: not a bool, an int64, a float64 or a string", what);
  return read_string(attribute, space, as_bytes, what);
}

void read_attributes(hid_t root, CheckpointFile& file) {
  std::string where = fmt::format("{}: an attribute", file.path.string());
  H5O_info_t info{};
  hdf5_check(H5Oget_info2(root, &info, H5O_INFO_NUM_ATTRS), where);
  for (hsize_t i = 0; i < info.num_attrs; ++i) {
    Hdf5Handle attribute(
        H5Aopen_by_idx(root, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT), where);
    std::string name =
        read_name([&](char* to, size_t size) { return H5Aget_name(attribute, size, to); }, where);
    std::string what = fmt::format("{}: the attribute \"{}\"", file.path.string(), name);
    file.attributes.emplace(name, read_attribute(attribute, what));
  }
}

}  // namespace

void read_hdf5(Hdf5Channel& channel, CheckpointFile& file) {
  Hdf5Session session;
  std::string what = fmt::format("{}: cannot be read as HDF5", file.path.string());
  Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), what);
  hdf5_check(set_channel(access, channel), what);
  Hdf5Handle hdf5(H5Fopen("checkpoint", H5F_ACC_RDONLY, access), what);
  Hdf5Handle root(H5Gopen2(hdf5, "/", H5P_DEFAULT), what);
  read_attributes(root, file);
  struct stat status {};
  if (retry_on_signal([&] { return fstat(channel.fd, &status); }) != 0) fail_errno(what, "read");
  TensorReader(channel, file, uint64_t(status.st_size)).read_group(root, "");
}

}  // namespace folio

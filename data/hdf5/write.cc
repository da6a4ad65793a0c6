#include <cstddef>
#include <set>
#include <vector>

#include "core/backend.h"
#include "data/hdf5/content.h"
#include "data/hdf5/seal.h"
#include "data/hdf5/types.h"

namespace folio {
namespace {

Hdf5Handle create_file(Hdf5Channel& channel) {
  constexpr const char* what = "cannot start an HDF5 file";
  Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), what), create(H5Pcreate(H5P_FILE_CREATE), what);
  hdf5_check(set_channel(access, channel), what);
  // The oldest format that holds each object: h5py of any age opens it.
  hdf5_check(H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST), what);
  hdf5_check(H5Pset_userblock(create, seal_bytes), what);
  return {H5Fcreate("checkpoint", H5F_ACC_TRUNC, create, access), what};
}

Hdf5Handle properties_without_time(hid_t kind) {
  constexpr const char* what = "cannot make HDF5 properties";
  Hdf5Handle properties(H5Pcreate(kind), what);
  hdf5_check(H5Pset_obj_track_times(properties, false), what);  // the same content, the same bytes
  return properties;
}

void check_name(const std::string& name, std::string_view kind) {
  check(!name.empty() && name.find('\0') == name.npos,
        "the {} \"{}\" needs a name that is not empty and has no NUL", kind, name);
}

// Creates the groups that `name` passes through, as far as `made` lacks them.
void make_groups(hid_t file, const std::string& name, std::set<std::string>& made) {
  size_t begin = 0;
  for (size_t end = 0; end != name.npos; begin = end + 1) {
    end = name.find('/', begin);
    std::string part = name.substr(begin, end == name.npos ? end : end - begin);
    check(!part.empty() && part != "." && part != "..",
          "the tensor \"{}\": a part between slashes is empty, \".\" or \"..\"", name);
    if (end == name.npos || !made.insert(name.substr(0, end)).second) continue;
    Hdf5Handle group(H5Gcreate2(file, name.substr(0, end).c_str(), H5P_DEFAULT,
                                properties_without_time(H5P_GROUP_CREATE), H5P_DEFAULT),
                     fmt::format("the tensor \"{}\": cannot make its group", name));
  }
}

void write_tensor(hid_t file, const std::string& name, const Array& array,
                  std::vector<std::byte>& buffer) {
  std::string what = fmt::format("the tensor \"{}\"", name);
  check(array.defined(), "{} is undefined", what);
  std::vector<hsize_t> dims(array.shape().dims().begin(), array.shape().dims().end());
  Hdf5Handle space(dims.empty() ? H5Screate(H5S_SCALAR)
                                : H5Screate_simple(int(dims.size()), dims.data(), nullptr),
                   what);
  Hdf5Handle properties = properties_without_time(H5P_DATASET_CREATE);
  hdf5_check(H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER), what);
  Hdf5Handle dataset(H5Dcreate2(file, name.c_str(), hdf5_type(array.dtype(), Hdf5Side::file), space,
                                H5P_DEFAULT, properties, H5P_DEFAULT),
                     what);
  if (array.size() == 0) return;
  buffer.resize(array.bytes());
  backend(array)->memory.read(array, buffer.data());
  hdf5_check(H5Dwrite(dataset, hdf5_type(array.dtype(), Hdf5Side::memory), H5S_ALL, H5S_ALL,
                      H5P_DEFAULT, buffer.data()),
             what);
}

class AttributeWriter {
 public:
  AttributeWriter(hid_t file, const std::string& name)
      : file_(file), name_(name), what_(fmt::format("the attribute \"{}\"", name)) {}

  void operator()(bool value) const {
    auto byte = int8_t(value);
    Hdf5Handle type = hdf5_bool();
    write(type, type, &byte);
  }
  void operator()(int64_t value) const { write(H5T_STD_I64LE, H5T_NATIVE_INT64, &value); }
  void operator()(double value) const { write(H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value); }
  void operator()(const std::string& value) const {
    // Of variable length, because those are kept outside the object header and its 64 KiB.
    if (value.find('\0') == value.npos) {
      const char* text = value.c_str();
      Hdf5Handle type = hdf5_string();
      write(type, type, &text);
    } else {
      hvl_t bytes{value.size(), const_cast<char*>(value.data())};
      Hdf5Handle type = hdf5_bytes();
      write(type, type, &bytes);
    }
  }

 private:
  void write(hid_t file_type, hid_t memory_type, const void* value) const {
    Hdf5Handle space(H5Screate(H5S_SCALAR), what_);
    Hdf5Handle properties(H5Pcreate(H5P_ATTRIBUTE_CREATE), what_);
    hdf5_check(H5Pset_char_encoding(properties, H5T_CSET_UTF8), what_);
    Hdf5Handle attribute(
        H5Acreate2(file_, name_.c_str(), file_type, space, properties, H5P_DEFAULT), what_);
    hdf5_check(H5Awrite(attribute, memory_type, value), what_);
  }

  hid_t file_;
  const std::string& name_;
  std::string what_;
};

}  // namespace

void write_hdf5(Hdf5Channel& channel, const CheckpointFile& file) {
  Hdf5Session session;
  Hdf5Handle hdf5 = create_file(channel);
  for (const auto& [name, value] : file.attributes) {
    check_name(name, "attribute");
    std::visit(AttributeWriter(hdf5, name), value);
  }
  std::set<std::string> groups;
  std::vector<std::byte> buffer;
  for (const auto& [name, array] : file.tensors) {
    check(channel.error == 0, "the write failed");
    check_name(name, "tensor");
    make_groups(hdf5, name, groups);
    const bool is_elsewhere = !array.defined() && file.fetch;
    write_tensor(hdf5, name, is_elsewhere ? file.fetch(name) : array, buffer);
  }
  hdf5.close("cannot finish the HDF5 file");
}

}  // namespace folio

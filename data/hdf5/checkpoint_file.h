#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <variant>

#include "core/array.h"

namespace folio {

// int64_t also carries unsigned 64-bit numbers (seeds, counters), as the same bits.
using Attribute = std::variant<bool, int64_t, double, std::string>;

// What one checkpoint holds. Names are UTF-8; '/' in a tensor's name makes HDF5 groups:
// "model/transformer.wte.weight" is the dataset transformer.wte.weight in the group model.
struct CheckpointFile {
  std::map<std::string, Array> tensors;
  // Of a file to be saved: the values of a tensor that is a shape alone (Array::shape_only). Called
  // once for each, in the order of their names, and held no longer than that one is written.
  std::function<Array(const std::string& name)> fetch;
  std::map<std::string, Attribute> attributes;  // of the root group
  std::filesystem::path path;                   // where it was loaded from, for messages

  bool has(const std::string& name) const;  // as a tensor or as an attribute
  // These throw Error, naming the file, the key and what is there, if it is missing or is not a T.
  const Array& tensor(const std::string& name) const;
  // The same, and from then on no longer here: the memory is the caller's, unless others share it.
  Array take(const std::string& name);
  template <class T>
  const T& attribute(const std::string& name) const;  // T: bool, int64_t, double or std::string
};

// Writes the whole file or leaves whatever was at `path` as it was, whenever the process is killed
// or the disk fills up; when it returns the file is on the disk. The same content gives the same
// bytes. Throws Error with the path, the reason and the bytes needed. Holds no more than one tensor
// beside those in `file`; load holds none, but reads each into its own memory. Both may be called
// from any thread.
//
// The file is HDF5 (h5py opens it) whose user block carries a SHA-256 of all other bytes: see
// seal.h. Tensors are contiguous little-endian datasets; bf16 is an HDF5 floating-point
// type of 16 bits, which h5py reads as float32. A bool attribute is h5py's bool, a string is of
// variable length in UTF-8 (one with a NUL inside: a sequence of uint8).
void save(const std::filesystem::path& path, const CheckpointFile& file);

// Checks the digest, then reads everything to the CPU. Throws Error if a bit is not as it was
// saved.
CheckpointFile load(const std::filesystem::path& path);

}  // namespace folio

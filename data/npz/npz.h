#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// An array as NumPy stores it: row by row, little-endian.
struct NpzArray {
  std::string name;
  std::vector<int64_t> shape;
  std::string dtype;       // NumPy's: "<f4", "<i4"
  std::string_view bytes;  // of the caller, until it is written
};

// NumPy's .npz: a zip archive of NAME.npy, uncompressed, which numpy.load opens. The whole file or,
// on Error, what was there before.
void write_npz(const std::string& path, const std::vector<NpzArray>& arrays);

// The header of a .npy file of version 1.0, up to the elements, which begin at a multiple of 64.
std::string npy_header(const std::vector<int64_t>& shape, std::string_view dtype);

}  // namespace folio

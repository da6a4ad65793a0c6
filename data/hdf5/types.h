#pragma once
#include "core/dtype.h"
#include "data/hdf5/handle.h"

namespace folio {

// The HDF5 type of elements in memory, and in the file (the same, little-endian everywhere).
// bfloat16 is a floating-point type of 1 sign, 8 exponent and 7 mantissa bits.
enum class Hdf5Side { memory, file };
Hdf5Handle hdf5_type(DType dtype, Hdf5Side side);
DType dtype_of_hdf5(hid_t file_type, std::string_view what);  // throws Error for any other type

Hdf5Handle hdf5_bool();    // h5py's: an int8 enumeration of FALSE and TRUE
Hdf5Handle hdf5_string();  // of variable length, UTF-8, without NUL
Hdf5Handle hdf5_bytes();   // a sequence of uint8, of variable length

}  // namespace folio

#include "data/hdf5/types.h"

namespace folio {
namespace {

hid_t base_type(DType dtype, bool memory) {
  switch (dtype) {
    case DType::f64:
      return memory ? H5T_NATIVE_DOUBLE : H5T_IEEE_F64LE;
    case DType::f32:
    case DType::bf16:
      return memory ? H5T_NATIVE_FLOAT : H5T_IEEE_F32LE;
    case DType::i32:
      return memory ? H5T_NATIVE_INT32 : H5T_STD_I32LE;
    case DType::i8:
      return memory ? H5T_NATIVE_INT8 : H5T_STD_I8LE;
  }
  fail("HDF5 has no type for {}", dtype);
}

}  // namespace

Hdf5Handle hdf5_type(DType dtype, Hdf5Side side) {
  constexpr const char* what = "cannot make an HDF5 type";
  Hdf5Handle type(H5Tcopy(base_type(dtype, side == Hdf5Side::memory)), what);
  if (dtype == DType::bf16) {  // the upper half of an f32, so its exponent bias is right already
    hdf5_check(H5Tset_fields(type, 15, 7, 8, 0, 7), what);
    hdf5_check(H5Tset_precision(type, 16), what);
    hdf5_check(H5Tset_size(type, 2), what);
  }
  return type;
}

DType dtype_of_hdf5(hid_t file_type, std::string_view what) {
  for (DType dtype : {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i8}) {
    if (hdf5_check(H5Tequal(file_type, hdf5_type(dtype, Hdf5Side::file)), what) > 0) return dtype;
  }
  fail("{}: its elements are not float64, float32, bfloat16, int32 or int8", what);
}

Hdf5Handle hdf5_bool() {
  constexpr const char* what = "cannot make an HDF5 bool";
  Hdf5Handle type(H5Tenum_create(H5T_STD_I8LE), what);
  int8_t value = 0;
  hdf5_check(H5Tenum_insert(type, "FALSE", &value), what);
  value = 1;
  hdf5_check(H5Tenum_insert(type, "TRUE", &value), what);
  return type;
}

Hdf5Handle hdf5_string() {
  constexpr const char* what = "cannot make an HDF5 string type";
  Hdf5Handle type(H5Tcopy(H5T_C_S1), what);
  hdf5_check(H5Tset_size(type, H5T_VARIABLE), what);
  hdf5_check(H5Tset_cset(type, H5T_CSET_UTF8), what);
  return type;
}

Hdf5Handle hdf5_bytes() {
  return {H5Tvlen_create(H5T_NATIVE_UINT8), "cannot make an HDF5 type of bytes"};
}

}  // namespace folio

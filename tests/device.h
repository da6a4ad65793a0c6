#pragma once
#include <span>
#include <vector>

#include "core/backend.h"

namespace folio {

// The device that this test program runs on: the CPU, or what --device=NAME says.
Device test_device();
// Whether the CPU's operations serve it: they are compiled for several SIMD targets, and share
// their work among threads.
bool test_device_is_cpu();
inline BackendCall test_backend() { return backend(test_device()); }

// Arrays on it.
template <class T>
Array to_array(std::span<const T> values, Shape shape) {
  return to_array(values, shape, test_device());
}
template <class T>
Array to_array(const std::vector<T>& values, Shape shape) {
  return to_array(values, shape, test_device());
}
inline Array zeros(Shape shape, DType dtype) { return zeros(shape, dtype, test_device()); }
// Of unspecified contents.
inline Array empty(Shape shape, DType dtype) { return Array(shape, dtype, test_device()); }

}  // namespace folio

#pragma once
#include <hdf5.h>

#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/check.h"

namespace folio {

// The reason HDF5 gives for its last failure: the innermost entry of its error stack.
std::string hdf5_reason();

// Throws Error with `what` and HDF5's reason if an HDF5 call returned `result` < 0.
template <class T>
T hdf5_check(T result, std::string_view what) {
  if (result < 0) fail("{}: {}", what, hdf5_reason());
  return result;
}

// An HDF5 identifier of any kind, released when it goes out of scope.
class Hdf5Handle {
 public:
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, std::string_view what) : id_(hdf5_check(id, what)) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) H5Idec_ref(id_);
  }
  operator hid_t() const { return id_; }

  // For a file, whose last writes happen here: throws Error if they fail.
  void close(std::string_view what) { hdf5_check(H5Idec_ref(std::exchange(id_, -1)), what); }

 private:
  hid_t id_ = -1;
};

// Around every use of HDF5: one thread at a time, for the library keeps global state, and its error
// stack is not printed.
class Hdf5Session {
 public:
  Hdf5Session();
  ~Hdf5Session();
  Hdf5Session(const Hdf5Session&) = delete;
  Hdf5Session& operator=(const Hdf5Session&) = delete;

 private:
  std::lock_guard<std::mutex> lock_;
  H5E_auto2_t printer_ = nullptr;
  void* printer_data_ = nullptr;
};

}  // namespace folio

#include "data/hdf5/handle.h"

namespace folio {
namespace {

std::mutex& hdf5_mutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

}  // namespace

std::string hdf5_reason() {
  std::string reason;
  auto keep_last = [](unsigned, const H5E_error2_t* entry, void* to) -> herr_t {
    if (entry->desc) *static_cast<std::string*>(to) = entry->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_last, &reason);
  return reason.empty() ? "HDF5 gives no reason" : reason;
}

Hdf5Session::Hdf5Session() : lock_(hdf5_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Session::~Hdf5Session() { H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_); }

}  // namespace folio

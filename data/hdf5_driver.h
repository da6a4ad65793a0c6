#pragma once
#include <hdf5.h>

namespace folio {

// An open file that HDF5 reads and writes through, so that what is parsed is the very file that was
// checked, and so that the reason of a failure is known. The caller keeps the descriptor.
struct Hdf5Channel {
  int fd = -1;
  int error = 0;  // errno of the first read, write or truncation that failed
};

// Makes the file access property list `fapl` go through `channel`, which outlives the HDF5 file.
// After a write has failed the others succeed without effect: HDF5 can then close the file, and the
// caller looks at `error`.
herr_t set_channel(hid_t fapl, Hdf5Channel& channel);

}  // namespace folio

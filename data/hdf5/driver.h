#pragma once
#include <hdf5.h>

namespace folio {

// An open file that HDF5 reads and writes through, so that what is parsed is the very file that was
// checked, and so that the reason of a failure is known. The caller keeps the descriptor.
struct Hdf5Channel {
  int fd = -1;
  int error = 0;  // errno of the first call that failed
};

// Makes the file access property list `fapl` go through `channel`, which outlives the HDF5 file.
// HDF5 itself never hears of a failure: a file whose closing failed would stay open inside it, and
// be closed once more when the process ends. What cannot be read is zeros, what cannot be written
// is kept until the file is closed as far as HDF5 reads it again, and the caller looks at `error`
// after each step.
herr_t set_channel(hid_t fapl, Hdf5Channel& channel);

}  // namespace folio

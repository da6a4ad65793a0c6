#pragma once
#include "data/hdf5/checkpoint_file.h"
#include "data/hdf5/driver.h"

namespace folio {

// Writes the tensors and attributes of `file` as HDF5 into the empty open file behind `channel`,
// leaving its first seal_bytes free. Throws Error; if channel.error is set, that is the reason.
void write_hdf5(Hdf5Channel& channel, const CheckpointFile& file);

// Reads into `file` what write_hdf5 wrote. Throws Error, naming file.path.
void read_hdf5(Hdf5Channel& channel, CheckpointFile& file);

}  // namespace folio

#pragma once
#include <filesystem>

#include "data/hdf5/checkpoint_file.h"
#include "train/optimizer/optimizer.h"
#include "train/ranks/data_parallel.h"

namespace folio {

// Adds to `file` the optimiser's state of the whole model, of which each rank has parts: a tensor
// is put together when it is saved, and goes once it is written. Both must outlive the file.
void put_shared_state(CheckpointFile& file, DataParallel& ranks, const Optimizer& optimizer);

// save(path, file) by rank 0, to which the others give what `file` asks for; every rank calls it.
// What fails there is an Error on all. Without ranks: save(path, file).
void save_together(const std::filesystem::path& path, const CheckpointFile& file,
                   DataParallel* ranks);

}  // namespace folio

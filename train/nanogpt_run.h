#pragma once
#include "configs/train_options.h"
#include "data/dataset/meta.h"
#include "data/hdf5/checkpoint_file.h"
#include "nn/gpt.h"

namespace folio {

// What the nanoGPT checkpoint options.init_from gives a run, as load_nanogpt has it; `taken_over`
// receives it in words, with the settings in which its run differed from `options`. Throws Error
// if the dataset has another vocabulary (check_vocabulary).
CheckpointFile state_to_take_over(const TrainOptions& options, const Meta& meta,
                                  std::string& taken_over);

// Cuts the position embedding in `file`, and its moments, down to `block_size`, as nanoGPT's
// crop_block_size does.
void crop_block_size(CheckpointFile& file, int64_t block_size);

}  // namespace folio

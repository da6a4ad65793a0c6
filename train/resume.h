#pragma once
#include <string>
#include <vector>

#include "configs/train_options.h"
#include "data/hdf5/checkpoint_file.h"
#include "nn/gpt.h"

namespace folio {

// The options with which a run goes on from `file`: its own, but for those `given` now, whose
// values are in `now`; out_dir, eval_only and check_network are always those of now. Each option
// that changes is said in a line of `notes`; `origins` gets where every option comes from. Throws
// Error for a given option that contradicts the model.
TrainOptions resumed_options(const CheckpointFile& file, const TrainOptions& now,
                             const OptionOrigins& given, OptionOrigins& origins,
                             std::vector<std::string>& notes);

// The options that say a model's shape become the model's own. Throws Error if the user asked for
// others, but for a shorter block_size where `may_crop`. `source` is what the model came from.
void keep_shape(TrainOptions& options, const OptionOrigins& given, const GptConfig& model,
                const std::string& source, bool may_crop);

}  // namespace folio

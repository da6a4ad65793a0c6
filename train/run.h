#pragma once
#include <limits>
#include <memory>

#include "configs/train_options.h"
#include "data/checkpoint_file.h"
#include "train/adamw.h"
#include "train/evaluate.h"

namespace folio {

// Everything a training run is made of, and the whole of what a checkpoint saves: a run loaded from
// its checkpoint goes on as if it had never stopped.
struct Run {
  // Starts from scratch, or from out_dir's last checkpoint with init_from = "resume"; `given` are
  // the keys that the user set (a resumed model keeps its own shape, and contradicting it is an
  // error).
  Run(const TrainOptions& options, const OptionOrigins& given);

  CheckpointFile snapshot() const;

  TrainOptions options;
  Dataset data;
  std::unique_ptr<Gpt> model;
  std::unique_ptr<AdamW> optimizer;
  BatchSampler batches;
  int64_t iter = 0;
  double best_val_loss = std::numeric_limits<double>::infinity();

 private:
  void restore(const CheckpointFile& file);
};

}  // namespace folio

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
  // Starts from scratch, from out_dir's last checkpoint with init_from = "resume", from nanoGPT's
  // checkpoint (its iteration, best loss and optimiser too), or from a model to fine-tune; `given`
  // are the keys that the user set (a model that exists keeps its own shape, and contradicting it
  // is an error, but for a shorter block_size to fine-tune with).
  Run(const TrainOptions& options, const OptionOrigins& given);

  CheckpointFile snapshot() const;

  TrainOptions options;
  Dataset data;
  std::unique_ptr<Gpt> model;
  std::unique_ptr<AdamW> optimizer;
  BatchSampler batches;
  int64_t iter = 0;
  double best_val_loss = std::numeric_limits<double>::infinity();
  std::string taken_over;  // from nanoGPT's checkpoint, in words for the user; empty otherwise

 private:
  void restore(const CheckpointFile& file);
  void restore_training(const CheckpointFile& file);
};

}  // namespace folio

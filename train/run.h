#pragma once
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "configs/train_options.h"
#include "data/hdf5/checkpoint_file.h"
#include "data/hugging_face/text_format.h"
#include "train/evaluate.h"
#include "train/optimizer/average.h"
#include "train/optimizer/optimizer.h"
#include "train/ranks/data_parallel.h"
#include "train/run_folder.h"

namespace folio {

// Everything a training run is made of, and the whole of what a checkpoint saves: a run loaded from
// its checkpoint goes on as if it had never stopped.
struct Run {
  // Starts from scratch, from out_dir's last checkpoint with init_from = "resume", from nanoGPT's
  // checkpoint (its iteration, best loss and optimiser too), or from a model to fine-tune; `given`
  // are the keys that the user set (a model that exists keeps its own shape, and contradicting it
  // is an error, but for a shorter block_size to fine-tune with). A resumed run has the options
  // that it had, but for those given, and holds its folder from here on, unless it is to evaluate
  // alone. With several `ranks`, which outlive it, it is made on all of them, and rank 0's holds
  // the folder; what fails on one is an Error on all.
  Run(const TrainOptions& options, const OptionOrigins& given, Communicator* ranks = nullptr);

  // The state between two iterations, to go on from. With ranks that share the optimiser's state
  // out, its tensors come from them one by one as they are saved: see keep.h.
  CheckpointFile snapshot() const;
  bool resumed() const { return resumed_; }

  TrainOptions options;
  OptionOrigins origins;              // where each option that is no default comes from
  std::vector<std::string> notes;     // what the user should know of how it starts, a line each
  std::unique_ptr<RunFolder> folder;  // null until the run has it
  Dataset data;
  std::unique_ptr<Gpt> model;
  std::unique_ptr<DataParallel> ranks;  // null: this process trains alone
  std::unique_ptr<Optimizer> optimizer;
  TextFormat text_format;          // of the model that is fine-tuned, for whoever samples later
  std::optional<Average> average;  // of the weights, with options.ema
  BatchSampler batches;
  int64_t iter = 0;  // iterations that are done
  double best_val_loss = std::numeric_limits<double>::infinity();
  int64_t best_iter = 0;              // the evaluation that gave it; 0: none so far
  std::optional<int64_t> saved_iter;  // of the state in last.h5; none if this run has saved none
  std::string taken_over;  // from nanoGPT's checkpoint, in words for the user; empty otherwise

 private:
  struct Start;
  explicit Run(Start start);
  static Start start_of(const TrainOptions& options, const OptionOrigins& given,
                        Communicator* ranks);
  void share_out(Communicator& communicator);
  void restore(CheckpointFile& file);
  void restore_training(CheckpointFile& file);

  std::string data_digest_;
  bool resumed_ = false;
};

}  // namespace folio

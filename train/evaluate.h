#pragma once
#include "configs/train_options.h"
#include "data/batches.h"
#include "data/meta.h"
#include "nn/gpt.h"

namespace folio {

struct Losses {
  double train = 0, val = 0;
};

// nanoGPT's estimate: the mean loss of eval_iters random batches of each split, without dropout.
// A pure function of the model, the options and `iter`: it draws from no generator of the run.
Losses estimate_loss(Gpt& model, const Dataset& data, const TrainOptions& options, int64_t iter);

struct SplitLoss {
  double loss = 0;     // mean cross-entropy, nats a token
  int64_t tokens = 0;  // predicted: all but the first of the split
};

// The loss over a whole split: windows of block_size that do not overlap, every token predicted
// once, in the same order every time.
SplitLoss whole_split_loss(Gpt& model, const TokenFile& tokens, int64_t batch_size);

}  // namespace folio

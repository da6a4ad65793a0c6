#pragma once
#include "configs/train_options.h"
#include "data/dataset/batches.h"
#include "data/dataset/meta.h"
#include "nn/gpt.h"

namespace folio {

class DataParallel;

struct Losses {
  double train = 0, val = 0;
};

// nanoGPT's estimate: the mean loss of eval_iters random batches of each split, without dropout.
// A pure function of the model, the options and `iter`: it draws from no generator of the run.
// Interruptible (core/process/stop.h). With `ranks` each takes some of the batches, and the result
// is the same; a stop that one rank was asked for is Interrupted on all.
Losses estimate_loss(Gpt& model, const Dataset& data, const TrainOptions& options, int64_t iter,
                     DataParallel* ranks = nullptr);

struct SplitLoss {
  double loss = 0;     // mean cross-entropy, nats a token
  int64_t tokens = 0;  // predicted: all but the first of the split
};
double perplexity(const SplitLoss& split);  // exp(loss)

// The loss over a whole split, every token predicted once, in the same order every time: windows of
// block_size, T, that start `stride` tokens apart (0: T, so that they do not overlap). The first
// predicts all its tokens, the others their last `stride`, each of which sees T - stride tokens of
// context or more. (https://huggingface.co/docs/transformers/perplexity.) Error for a stride above
// T, for a split of fewer than two tokens, and for a loss that is NaN or infinite.
// Throws Interrupted once a stop is requested (core/process/stop.h).
SplitLoss whole_split_loss(Gpt& model, const TokenFile& tokens, int64_t batch_size,
                           int64_t stride = 0);

}  // namespace folio

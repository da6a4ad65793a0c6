#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset/token_file.h"
#include "nn/gpt.h"
#include "sample/past_block.h"

namespace folio {

struct PositionLoss {
  std::vector<double> bands;  // mean cross-entropy, nats a token
  int64_t tokens = 0;         // that each band predicts
};

// The loss of texts that are read as samples are, by how far into its text a token stands: band k
// is of those that follow k T + 1 to (k + 1) T others, T being block_size. A text begins at every
// T-th token of the split, so that all bands predict the same tokens: the last `tokens` of the
// split, rounded up to a multiple of T, or all, if it is 0 or more, that enough others precede.
// `batch_size` texts are read together. Error for a split without a text of so many bands, and for
// a loss that is not finite; Interrupted once a stop is requested (core/process/stop.h).
PositionLoss loss_by_position(Gpt& model, const TokenFile& split, const ContextWindow& window,
                              int64_t bands, int64_t tokens, int64_t batch_size);

}  // namespace folio

#pragma once
#include "configs/train_options.h"
#include "nn/gpt.h"

namespace folio {

// To be called before a model is made or trained: throws Error, naming the options that decide it,
// the bytes needed and the bytes there are, unless memory is left for `model` with its gradients
// and moments and for the activations of a batch. What Arrays hold already counts as a part of it.
// The estimate is a little low, so that nothing is refused that would have run.
// With several `ranks` it is what each of them needs.
void check_fits(const GptConfig& model, const TrainOptions& options, int ranks = 1);

// That estimate, in bytes; a number that may be larger than any integer.
double training_bytes(const GptConfig& model, const TrainOptions& options, int ranks = 1);

}  // namespace folio

#pragma once
#include <string>

#include "data/hdf5/checkpoint_file.h"

namespace folio {

enum class NanogptParts { model, all };

struct NanogptFile {
  // As a folio checkpoint of the same state would be: tensors "model/NAME", attributes
  // "option/KEY" (of the checkpoint's config and model_args), "vocab_size", "iter_num",
  // "best_val_loss" and, if the optimiser's state was taken over, "adamw/m/NAME", "adamw/v/NAME"
  // and "adamw/steps". There is no vocabulary and no random state in it.
  CheckpointFile state;
  // What became of the optimiser's state, a part of a sentence; empty when only the model was
  // wanted.
  std::string optimizer;
};

// Reads nanoGPT's ckpt.pt: torch.save of {model, optimizer, model_args, iter_num, best_val_loss,
// config}, from plain models or wrapped ones (parameter_name in tensor_names.h). Nothing in the
// file is executed, and its tensors are held to the shapes that model_args implies before any is
// read. AdamW's state is taken over where its parameters are the model's, in the order in which
// nanoGPT's configure_optimizers lists them, or listed them in its first months; settings of it
// that folio does not have (eps, amsgrad, maximize) are an Error. Throws Error, naming the file and
// the tensor or key.
NanogptFile load_nanogpt(const std::string& path, NanogptParts parts);
// `bytes` are the whole file.
NanogptFile load_nanogpt(std::string_view bytes, const std::string& path, NanogptParts parts);

}  // namespace folio

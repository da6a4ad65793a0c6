#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/checkpoint_file.h"
#include "data/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// A model and the file that holds it. Parameters are tensors "model/NAME", the options of the run
// attributes "option/KEY", the tokenizer the attributes that put_tokenizer names.

// Where a run in `out_dir` keeps its files: the best validation loss so far, and the last state.
std::filesystem::path best_checkpoint(const std::string& out_dir);
std::filesystem::path last_checkpoint(const std::string& out_dir);

// The shape of the model in `file`. Throws Error for a file that is no folio model.
GptConfig model_config(const CheckpointFile& file);
// A model of that shape with the file's parameters.
std::unique_ptr<Gpt> load_model(const CheckpointFile& file);

// Copies every parameter of `model` into or out of `file`; an Error names one that is missing or
// has another shape. What no option names goes beside them: the vocabulary's size and the MLP's
// activation, which files from before folio read GPT-2 lack (theirs is gelu_erf).
void put_parameters(CheckpointFile& file, Gpt& model);
void get_parameters(const CheckpointFile& file, Gpt& model);

// A character tokenizer is the attribute "vocabulary", its characters in order; any other is the
// attribute "tokenizer", whole, as to_text writes it.
void put_tokenizer(CheckpointFile& file, const Tokenizer& tokenizer);
std::shared_ptr<const Tokenizer> saved_tokenizer(const CheckpointFile& file);

}  // namespace folio

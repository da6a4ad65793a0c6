#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "data/hdf5/checkpoint_file.h"
#include "data/tokenizer/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// A model and the file that holds it. Parameters are tensors "model/NAME", the options of the run
// attributes "option/KEY", the tokenizer the attributes that put_tokenizer names.

// Where a run in `out_dir` keeps its files: the best validation loss so far, and the last state.
std::filesystem::path best_checkpoint(const std::string& out_dir);
std::filesystem::path last_checkpoint(const std::string& out_dir);

// The fields of the model in `file` (each_field in nn/gpt_config.h): "option/NAME" for those that
// nanoGPT's train.py has too, "vocab_size", "activation", and "config/NAME" for any other. One that
// the file lacks because it is older than the field has its default. Throws Error for a file that
// is no folio model, and for a "config/NAME" that this folio does not know.
GptConfig model_config(const CheckpointFile& file);
void put_config(CheckpointFile& file, const GptConfig& config);
// To be called before a model of that size is made, whose vectors take memory at once: throws Error
// unless `file` has tensors as long for every block.
void check_sizes(const CheckpointFile& file, const GptConfig& config);

// Throws Error for a file of quantised weights (quantized_file.h), saying what they are for.
void check_full_weights(const CheckpointFile& file);
// A model of that shape on `device` with the file's parameters. An Error names one that is missing,
// has another shape or holds a number that is not finite; the weights must be full.
std::unique_ptr<Gpt> load_model(const CheckpointFile& file, Device device);
// The same without a copy if they are on that device already: its parameters are the file's arrays,
// which are no longer in `file`.
std::unique_ptr<Gpt> take_model(CheckpointFile& file, Device device);
// The configuration and every parameter of `model`.
void put_parameters(CheckpointFile& file, Gpt& model);
// The tensor "model/NAME". Throws Error unless it has that shape.
const Array& saved_parameter(const CheckpointFile& file, const std::string& name,
                             const Shape& shape);
// The same as a parameter in f32 on `device`, taken out of `file`: a copy only if others see that
// array too, or it is of another dtype or on another device.
Parameter take_parameter(CheckpointFile& file, const std::string& name, const Shape& shape,
                         Device device);

// The average of the parameters over the steps of a run (train/optimizer/average.h), by name:
// tensors "ema/NAME". Both of the latter throw Error for a file that has it of some parameters
// alone.
void put_average(CheckpointFile& file, const std::map<std::string, Array>& values);
// On the model's device, and from then on no longer in `file`; empty if it has none.
std::map<std::string, Array> take_average(CheckpointFile& file, Gpt& model);
// Puts it, if the file has it, in the place of the parameters -> whether it has.
bool prefer_average(CheckpointFile& file);

// Throws Error, naming the file and the tensor, if one of its numbers is NaN or infinite.
void check_finite(const Array& values, const std::string& path, const std::string& name);

// A character tokenizer is the attribute "vocabulary", its characters in order; any other is the
// attribute "tokenizer", whole, as to_text writes it.
void put_tokenizer(CheckpointFile& file, const Tokenizer& tokenizer);
std::shared_ptr<const Tokenizer> saved_tokenizer(const CheckpointFile& file);

}  // namespace folio

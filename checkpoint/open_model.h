#pragma once
#include <map>
#include <memory>
#include <string>

#include "core/weight_format.h"
#include "data/checkpoint_file.h"
#include "data/meta.h"
#include "data/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// A model to run or to go on training, wherever it came from.
struct OpenedModel {
  std::unique_ptr<Gpt> model;                   // f32 parameters, not packed, or:
  std::optional<WeightFormat> weights;          // packed, in this format
  std::shared_ptr<const Tokenizer> tokenizer;   // null where the source has none
  std::string source;                           // the file or folder that was read, for messages
  std::map<std::string, Attribute> attributes;  // what a folio checkpoint says of its run, or empty
};

// The model that an `init_from` names:
//   resume          out_dir's best checkpoint
//   gpt2, ...       what `folio download` got, also OWNER/NAME
//   a folder        in Hugging Face's layout (config.json, model.safetensors), or an out_dir
//   a file          .safetensors or .bin with its config.json beside it, a folio checkpoint (.h5),
//   or
//                   nanoGPT's ckpt.pt
// For inference also a file of `folio quantize` (.h5), whose model is packed; for anything that
// needs f32 parameters, such a file is an Error. Throws Error, saying what folio can open, for
// anything else.
enum class Purpose { any, inference };
OpenedModel open_model(const std::string& init_from, const std::string& out_dir,
                       Purpose purpose = Purpose::any);

// Throws Error unless the model has a row for every token of the tokenizer; it may have more. What
// open_model found beside the model has been checked.
void check_tokenizer(const OpenedModel& opened, const Tokenizer& tokenizer);

// Packs the model. One that its file has packed stays as it is: throws Error if `options` asks for
// another format.
void pack(OpenedModel& opened, const PackOptions& options);

// Throws Error unless the ids of a dataset mean the same to the model: its own tokenizer made them,
// or, where it has none, they fit its vocabulary.
void check_vocabulary(const OpenedModel& opened, const Meta& dataset);

}  // namespace folio

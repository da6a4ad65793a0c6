#pragma once
#include <map>
#include <memory>
#include <string>

#include "core/weight_format.h"
#include "data/dataset/meta.h"
#include "data/hdf5/checkpoint_file.h"
#include "data/hugging_face/text_format.h"
#include "data/tokenizer/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// A model to run or to go on training, wherever it came from.
struct OpenedModel {
  std::unique_ptr<Gpt> model;                   // f32 parameters, not packed, or:
  std::optional<WeightFormat> weights;          // packed, in this format
  bool averaged = false;                        // the average over its run's steps (ema)
  std::shared_ptr<const Tokenizer> tokenizer;   // null where the source has none, or:
  std::string tokenizer_error = {};             // why the source's cannot be read; empty: it can
  TextFormat format = {};                       // of its texts, as far as the source says
  std::string source;                           // the file or folder that was read, for messages
  std::map<std::string, Attribute> attributes;  // what a folio checkpoint says of its run, or empty

  // The source, with a checkpoint's iteration and loss: "out/ckpt.h5: iteration 2000, val loss
  // 1.9078".
  std::string described() const;
};

// The model, on `device`, that an `init_from` names:
//   resume          out_dir's checkpoint: the best, or the newest where it has no best yet
//   gpt2, ...       what `folio download` got, also OWNER/NAME
//   a folder        in Hugging Face's layout (config.json, model.safetensors), or an out_dir, as
//                   above
//   a file          .safetensors or .bin with its config.json beside it, a folio checkpoint
//                   (.h5), or nanoGPT's ckpt.pt
// For inference also a file of `folio quantize` (.h5), whose model is packed; for anything that
// needs f32 parameters, such a file is an Error. Throws Error, saying what folio can open, for
// anything else. With Which::last, an out_dir gives its newest checkpoint.
enum class Purpose { any, inference };
enum class Which { best, last };
OpenedModel open_model(const std::string& init_from, const std::string& out_dir, Device device,
                       Purpose purpose = Purpose::any, Which which = Which::best);
Which checkpoint_named(const std::string& name);  // "best" or "last"

// A tokenizer beside a model in Hugging Face's layout that folio cannot read is no Error here: ids
// are enough for much. Whoever needs texts says so (find_tokenizer_of).

// Throws Error unless the model has a row for every token of the tokenizer; it may have more. What
// open_model found beside the model has been checked.
void check_tokenizer(const OpenedModel& opened, const Tokenizer& tokenizer);

// What a user should know who gets the model without a tokenizer.
std::string without_tokenizer(const OpenedModel& opened);

// Packs the model. One that its file has packed stays as it is: throws Error for another format.
void pack(OpenedModel& opened, WeightFormat format);

// Whether a model of `rows` rows may be the tokenizer's, as far as numbers tell: it has as many
// rows as there are tokens, or those of a BPE tokenizer rounded up to a multiple of 8 to 1024, as
// nanoGPT rounds GPT-2's 50257 up to 50304. A table of characters is never padded: more rows are
// another text's characters.
bool rows_fit(int64_t rows, const Tokenizer& tokenizer);

// Throws Error unless the ids of a dataset mean the same to the model: its own tokenizer made them
// or, where it has none, its rows fit. `allow_other` takes any vocabulary that has no more tokens
// than the model has rows. -> what the user should know of it, or "".
std::string check_vocabulary(const OpenedModel& opened, const Meta& dataset,
                             bool allow_other = false);
// The same for a model of `rows` tokens, from `source`, whose tokenizer may be null.
std::string check_vocabulary(const std::string& source, int64_t rows, const Tokenizer* tokenizer,
                             const Meta& dataset, bool allow_other);

}  // namespace folio

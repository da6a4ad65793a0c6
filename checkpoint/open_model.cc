#include "checkpoint/open_model.h"

#include "checkpoint/hugging_face.h"
#include "checkpoint/model_file.h"
#include "checkpoint/nanogpt_file.h"
#include "checkpoint/quantized_file.h"
#include "data/hub/hub_cache.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/torch_file/torch_file.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

OpenedModel open_quantized(CheckpointFile file) {
  bool has_tokenizer = file.has("tokenizer") || file.has("vocabulary");
  return {.model = load_quantized(file),
          .weights = quantized_weights(file),
          .tokenizer = has_tokenizer ? saved_tokenizer(file) : nullptr,
          .source = file.path.string(),
          .attributes = std::move(file.attributes)};
}

OpenedModel open_checkpoint(const fs::path& path, Purpose purpose) {
  CheckpointFile file = load(path);
  if (purpose == Purpose::inference && quantized_weights(file))
    return open_quantized(std::move(file));
  return {.model = load_model(file),
          .weights = {},
          .tokenizer = saved_tokenizer(file),
          .source = path.string(),
          .attributes = std::move(file.attributes)};
}

OpenedModel open_hugging_face(const fs::path& path, Purpose purpose) {
  return {.model = load_hugging_face(path, purpose == Purpose::inference),
          .weights = {},
          .tokenizer = load_tokenizer_files(fs::is_directory(path) ? path : path.parent_path()),
          .source = path.string(),
          .attributes = {}};
}

OpenedModel open_nanogpt(const fs::path& path) {
  CheckpointFile file = load_nanogpt(path.string(), NanogptParts::model).state;
  return {.model = load_model(file),
          .weights = {},
          .tokenizer = nullptr,
          .source = path.string(),
          .attributes = std::move(file.attributes)};
}

OpenedModel open_folder(const fs::path& folder, Purpose purpose) {
  if (is_hugging_face(folder)) return open_hugging_face(folder, purpose);
  fs::path checkpoint = best_checkpoint(folder);
  if (fs::exists(checkpoint)) return open_checkpoint(checkpoint, purpose);
  fail("{}: holds no model that folio knows: no config.json with its weights, no ckpt.h5",
       folder.string());
}

}  // namespace

namespace {

OpenedModel open(const std::string& init_from, const std::string& out_dir, Purpose purpose) {
  if (init_from == "resume") return open_checkpoint(best_checkpoint(out_dir), purpose);
  fs::path path = init_from;
  if (!fs::exists(path) && is_hub_name(init_from)) path = downloaded_model(init_from);
  check(fs::exists(path),
        "init_from={}: there is no such file or folder; it can be resume, gpt2 or another model "
        "that `folio download` got, or the path of a model",
        init_from);
  if (fs::is_directory(path)) return open_folder(path, purpose);
  bool has_config = is_hugging_face(path.parent_path());
  if (path.extension() == ".safetensors" || (path.extension() == ".bin" && has_config))
    return open_hugging_face(path, purpose);
  if (path.extension() == ".h5") return open_checkpoint(path, purpose);
  if (is_torch_file(path.string())) return open_nanogpt(path);
  fail("{}: not a model that folio can open; it opens folders, .safetensors, .h5 and nanoGPT's .pt",
       init_from);
}

}  // namespace

OpenedModel open_model(const std::string& init_from, const std::string& out_dir, Purpose purpose) {
  OpenedModel opened = open(init_from, out_dir, purpose);
  if (opened.tokenizer) check_tokenizer(opened, *opened.tokenizer);
  return opened;
}

void check_tokenizer(const OpenedModel& opened, const Tokenizer& tokenizer) {
  int64_t tokens = tokenizer.vocab_size(), rows = opened.model->config().vocab_size;
  check(tokens <= rows,
        "{}: the tokenizer has {} tokens, the model {}; they do not belong together, or the model "
        "was not resized when tokens were added",
        opened.source, tokens, rows);
}

void pack(OpenedModel& opened, const PackOptions& options) {
  if (!opened.weights) {
    opened.model->pack(options);
    return;
  }
  check(opened.weights == options.format,
        "{}: its weights are saved as {} and cannot become {}; leave --weights out, or open the "
        "model that they were made from",
        opened.source, *opened.weights, options.format);
}

void check_vocabulary(const OpenedModel& opened, const Meta& dataset) {
  const Tokenizer& tokenizer = *dataset.tokenizer;
  int64_t size = opened.model->config().vocab_size;
  check(
      tokenizer.vocab_size() <= size && (!opened.tokenizer || *opened.tokenizer == tokenizer),
      "{}: the model has another vocabulary, of {} tokens, than the dataset, of {}, that was made "
      "from {}; prepare the text with the model's tokenizer",
      opened.source, size, tokenizer.vocab_size(), dataset.source);
}

}  // namespace folio

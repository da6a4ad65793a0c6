#include "checkpoint/open_model.h"

#include <cmath>

#include "checkpoint/hugging_face.h"
#include "checkpoint/model_file.h"
#include "checkpoint/nanogpt_file.h"
#include "checkpoint/quantized_file.h"
#include "checkpoint/saved_text_format.h"
#include "data/download/hub_cache.h"
#include "data/files/mapped_file.h"
#include "data/hugging_face/tokenizer_files.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/torch_file/torch_file.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

OpenedModel open_quantized(CheckpointFile file, Device device) {
  bool has_tokenizer = file.has("tokenizer") || file.has("vocabulary");
  std::unique_ptr<Gpt> model = take_quantized(file, device);
  const int64_t vocab_size = model->config().vocab_size;
  return {.model = std::move(model),
          .weights = quantized_weights(file),
          .tokenizer = has_tokenizer ? saved_tokenizer(file) : nullptr,
          .format = saved_text_format(file, vocab_size),
          .source = file.path.string(),
          .attributes = std::move(file.attributes)};
}

OpenedModel open_checkpoint(const fs::path& path, Device device, Purpose purpose) {
  CheckpointFile file = load(path);
  if (purpose == Purpose::inference && quantized_weights(file))
    return open_quantized(std::move(file), device);
  const bool averaged = prefer_average(file);
  std::unique_ptr<Gpt> model = take_model(file, device);
  const int64_t vocab_size = model->config().vocab_size;
  return {.model = std::move(model),
          .weights = {},
          .averaged = averaged,
          .tokenizer = saved_tokenizer(file),
          .format = saved_text_format(file, vocab_size),
          .source = path.string(),
          .attributes = std::move(file.attributes)};
}

OpenedModel open_hugging_face(const fs::path& path, Device device, Purpose purpose) {
  OpenedModel opened{.model = load_hugging_face(path, device, purpose == Purpose::inference),
                     .weights = {},
                     .tokenizer = nullptr,
                     .source = path.string(),
                     .attributes = {}};
  const fs::path folder = fs::is_directory(path) ? path : path.parent_path();
  opened.format = {load_end_tokens(folder, opened.model->config().vocab_size),
                   load_chat_format(folder)};
  try {
    opened.tokenizer = load_tokenizer_files(folder);
  } catch (const Error& error) {
    opened.tokenizer_error = error.what();
  }
  return opened;
}

OpenedModel open_nanogpt(const fs::path& path, Device device) {
  CheckpointFile file = load_nanogpt(path.string(), NanogptParts::model).state;
  return {.model = take_model(file, device),
          .weights = {},
          .tokenizer = nullptr,
          .source = path.string(),
          .attributes = std::move(file.attributes)};
}

// The file of a run's folder; none if there is none.
std::optional<fs::path> run_checkpoint(const std::string& folder, Which which) {
  fs::path best = best_checkpoint(folder), last = last_checkpoint(folder);
  if (which == Which::best && fs::exists(best)) return best;
  if (fs::exists(last)) return last;
  return {};
}

OpenedModel open_folder(const fs::path& folder, Device device, Purpose purpose, Which which) {
  if (is_hugging_face(folder)) return open_hugging_face(folder, device, purpose);
  if (auto checkpoint = run_checkpoint(folder, which))
    return open_checkpoint(*checkpoint, device, purpose);
  fail("{}: holds no model that folio knows: no config.json with its weights, no {}",
       folder.string(), which == Which::best ? "ckpt.h5 or last.h5" : "last.h5");
}

OpenedModel open_run(const std::string& out_dir, Device device, Purpose purpose, Which which) {
  if (auto checkpoint = run_checkpoint(out_dir, which))
    return open_checkpoint(*checkpoint, device, purpose);
  check(fs::exists(out_dir), "{}: there is no such folder; --out_dir names the folder of a run",
        out_dir);
  fail("{}: holds no checkpoint ({}); `folio train --out_dir={}` makes one", out_dir,
       which == Which::best ? "ckpt.h5 or last.h5" : "last.h5", out_dir);
}

OpenedModel open(const std::string& init_from, const std::string& out_dir, Device device,
                 Purpose purpose, Which which) {
  if (init_from == "resume") return open_run(out_dir, device, purpose, which);
  fs::path path = init_from;
  if (!fs::exists(path) && is_hub_name(init_from)) path = downloaded_model(init_from);
  check(fs::exists(path),
        "init_from={}: there is no such file or folder; it can be resume, gpt2 or another model "
        "that `folio download` got, or the path of a model",
        init_from);
  if (fs::is_directory(path)) return open_folder(path, device, purpose, which);
  bool has_config = is_hugging_face(path.parent_path());
  if (path.extension() == ".safetensors" || (path.extension() == ".bin" && has_config))
    return open_hugging_face(path, device, purpose);
  if (path.extension() == ".h5") return open_checkpoint(path, device, purpose);
  if (is_torch_file(path.string())) return open_nanogpt(path, device);
  fail("{}: not a model that folio can open; it opens folders, .safetensors, .h5 and nanoGPT's .pt",
       init_from);
}

}  // namespace

std::string OpenedModel::described() const {
  auto number = [&]<class T>(const char* key, T) -> std::optional<T> {
    auto found = attributes.find(key);
    auto* value = found == attributes.end() ? nullptr : std::get_if<T>(&found->second);
    return value ? std::optional(*value) : std::nullopt;
  };
  auto iteration = number("iter_num", int64_t{});
  if (!iteration) return source;
  std::string text = fmt::format("{}: iteration {}", source, *iteration);
  auto loss = number("val_loss", double{}), best = number("best_val_loss", double{});
  if (loss)
    text += fmt::format(", val loss {:.4f}", *loss);
  else if (best && std::isfinite(*best))
    text += fmt::format(", best val loss so far {:.4f}", *best);
  return text + (averaged ? ", averaged weights" : "");
}

Which checkpoint_named(const std::string& name) {
  check(name == "best" || name == "last", "checkpoint must be \"best\" or \"last\", got \"{}\"",
        name);
  return name == "best" ? Which::best : Which::last;
}

OpenedModel open_model(const std::string& init_from, const std::string& out_dir, Device device,
                       Purpose purpose, Which which) {
  OpenedModel opened = open(init_from, out_dir, device, purpose, which);
  if (opened.tokenizer) check_tokenizer(opened, *opened.tokenizer);
  return opened;
}

void check_tokenizer(const OpenedModel& opened, const Tokenizer& tokenizer) {
  int64_t tokens = tokenizer.vocab_size(), rows = opened.model->config().vocab_size;
  check(
      tokens <= rows,
      "{}: the tokenizer has {} tokens, the model {}: it is another model's, or tokens were added "
      "to it; take the tokenizer that the model was trained with",
      opened.source, tokens, rows);
}

std::string without_tokenizer(const OpenedModel& opened) {
  if (opened.tokenizer_error.empty())
    return fmt::format("{} has no tokenizer to go with it", opened.source);
  return "the tokenizer is left out: " + opened.tokenizer_error;
}

void pack(OpenedModel& opened, WeightFormat format) {
  if (!opened.weights) {
    opened.model->pack(format);
    check_mapped_files();
    return;
  }
  check(opened.weights == format,
        "{}: its weights are saved as {} and cannot become {}; leave --weights out, or open the "
        "model that they were made from",
        opened.source, *opened.weights, format);
}

bool rows_fit(int64_t rows, const Tokenizer& tokenizer) {
  int64_t tokens = tokenizer.vocab_size();
  if (rows == tokens) return true;
  if (!dynamic_cast<const BpeTokenizer*>(&tokenizer)) return false;
  for (int64_t multiple = 8; multiple <= 1024; multiple *= 2)
    if (rows == (tokens + multiple - 1) / multiple * multiple) return true;
  return false;
}

std::string check_vocabulary(const OpenedModel& opened, const Meta& dataset, bool allow_other) {
  std::string remark = check_vocabulary(opened.source, opened.model->config().vocab_size,
                                        opened.tokenizer.get(), dataset, allow_other);
  if (opened.tokenizer_error.empty()) return remark;
  return fmt::format("the model's tokenizer is not compared with the dataset's: {}{}{}",
                     opened.tokenizer_error, remark.empty() ? "" : "\n", remark);
}

std::string check_vocabulary(const std::string& source, int64_t rows, const Tokenizer* tokenizer,
                             const Meta& dataset, bool allow_other) {
  int64_t tokens = dataset.tokenizer->vocab_size();
  bool same = tokenizer ? *tokenizer == *dataset.tokenizer : rows == tokens;
  if (same && tokens <= rows) return "";
  if (!tokenizer && rows_fit(rows, *dataset.tokenizer))
    return fmt::format(
        "{}: the model has {} rows for the dataset's {} tokens: the others are taken to be padding",
        source, rows, tokens);
  std::string what = fmt::format(
      "{}: the model has another vocabulary, of {} tokens, than the dataset, of {}, that was made "
      "from {}",
      source, rows, tokens, dataset.source);
  check(tokens <= rows, "{}; prepare the text with the model's tokenizer", what);
  check(allow_other,
        "{}; prepare the text with the model's tokenizer or, to have the ids mean what they mean "
        "in the dataset all the same, give --allow_other_vocab=true",
        what);
  return what + "; taken all the same (allow_other_vocab)";
}

}  // namespace folio

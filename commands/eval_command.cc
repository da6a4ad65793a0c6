#include "commands/eval_command.h"

#include <nlohmann/json.hpp>
#include <numbers>

#include "checkpoint/open_model.h"
#include "commands/give_window.h"
#include "configs/model_rows.h"
#include "configs/option_table.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "data/dataset/text_bytes.h"
#include "sample/loss_by_position.h"
#include "train/evaluate.h"

namespace folio {
namespace {

struct EvalOptions {
  std::string init_from = "resume";
  std::string out_dir = "out";
  std::string checkpoint = "best";
  std::string dataset = "";
  std::string data_dir = "";
  std::string device = "cpu";
  std::string dtype = "float32";
  std::string weights = "";
  int64_t stride = 0;
  int64_t by_position = 0;
  std::vector<std::string> past_block = {};
  int64_t eval_tokens = 16384;
  int64_t window = 0;
  int64_t batch_size = 0;
  int64_t threads = 0;
  bool allow_other_vocab = false;
  bool json = false;
};

std::vector<Option> option_rows(EvalOptions& o) {
  return in_groups({
      {"model",
       model_rows(
           &o.init_from, &o.out_dir, &o.checkpoint,
           {{"weights", &o.weights,
             "compute as sampling with these weights does: float32, bfloat16, int8 or int4; none "
             "given: as in training, or as a file of `folio quantize` has them",
             one_of({"", "float32", "bfloat16", "int8", "int4"})},
            window_option(&o.window)})},
      {"data",
       {{"dataset", &o.dataset,
         "name of the dataset to evaluate on; none given: the one it was trained on"},
        path_option("data_dir", &o.data_dir,
                    "folder of the prepared datasets; none given: the run's"),
        {"allow_other_vocab", &o.allow_other_vocab,
         "evaluate on a dataset of another vocabulary than the model's, if it is not larger"},
        {"stride", &o.stride,
         "tokens between the starts of two windows: fewer give each token more context; 0: "
         "block_size",
         at_least(0)}}},
      {"loss by position",
       {{"by_position", &o.by_position,
         "instead: the loss on the val split by how far into its text a token stands, in bands of "
         "block_size tokens, up to so many times block_size",
         at_least(0)},
        {"past_block", &o.past_block,
         "what happens past block_size, as in `folio sample`: window, block or slide; may be "
         "repeated; none given: window, where the model can, and block",
         one_of({"window", "block", "slide"})},
        {"eval_tokens", &o.eval_tokens, "tokens that each band predicts, the split's last; 0: all",
         at_least(0)}}},
      {"speed and memory",
       {{"batch_size", &o.batch_size,
         "windows or texts per batch; 0: as many as make 16,384 tokens", at_least(0)},
        {"device", &o.device, "device to compute on", a_device()},
        {"dtype", &o.dtype, "float32 or bfloat16", a_dtype()},
        {"threads", &o.threads, "CPU threads; 0: one per core", at_least(0)}}},
      {"output", {{"json", &o.json, "print one JSON object"}}},
  });
}

// What the user gave, else what the model's own run had, else `otherwise`.
std::string or_saved(const std::string& given, const OpenedModel& opened, const std::string& key,
                     const std::string& otherwise) {
  if (!given.empty()) return given;
  auto saved = opened.attributes.find("option/" + key);
  if (saved == opened.attributes.end()) return otherwise;
  const auto* text = std::get_if<std::string>(&saved->second);
  return text ? *text : otherwise;
}

std::string dataset_folder(const EvalOptions& options, const OpenedModel& opened) {
  std::string dataset = or_saved(options.dataset, opened, "dataset", "");
  check(!dataset.empty(), "{}: does not say what it was trained on; name a dataset with --dataset",
        opened.source);
  std::string data_dir = or_saved(options.data_dir, opened, "data_dir", "datasets");
  return (std::filesystem::path(data_dir) / dataset).string();
}

// A split's loss, and the bytes of text that the predicted tokens stand for.
struct Figures {
  const char* split;
  SplitLoss loss;
  int64_t bytes;

  // The loss by the text's length, whatever tokens it was cut into; nothing where there is no text.
  std::optional<double> bits_per_byte() const {
    if (bytes == 0) return {};
    return loss.loss / std::numbers::ln2 * double(loss.tokens) / double(bytes);
  }
};

void print_json(const std::vector<Figures>& splits, int64_t stride) {
  nlohmann::ordered_json json;
  for (const Figures& figures : splits) {
    auto add = [&](const char* what, nlohmann::ordered_json value) {
      json[fmt::format("{}_{}", figures.split, what)] = std::move(value);
    };
    add("loss", figures.loss.loss);
    add("perplexity", perplexity(figures.loss));
    auto bits = figures.bits_per_byte();
    add("bits_per_byte", bits ? nlohmann::ordered_json(*bits) : nullptr);
    add("tokens", figures.loss.tokens);
    add("bytes", figures.bytes);
  }
  json["stride"] = stride;
  say("{}\n", json.dump());
}

// How the texts went on past block_size, and what came of it.
using PositionLosses = std::vector<std::pair<PastBlock, PositionLoss>>;

PositionLosses losses_by_position(const EvalOptions& options, Gpt& model, const TokenFile& val,
                                  int64_t batch_size) {
  const GptConfig& config = model.config();
  std::vector<PastBlock> modes;
  for (const std::string& name : options.past_block)
    modes.push_back(past_block_named(name, config));
  if (modes.empty()) {
    if (has_endless_stream(config)) modes.push_back(PastBlock::window);
    modes.push_back(PastBlock::block);  // not slide, which takes block_size times as long
  }
  PositionLosses losses;
  for (PastBlock mode : modes)
    losses.emplace_back(mode,
                        loss_by_position(model, val, {config.block_size, mode}, options.by_position,
                                         options.eval_tokens, batch_size));
  return losses;
}

void print_json(const PositionLosses& losses, const EvalOptions& options, int64_t block_size) {
  nlohmann::ordered_json json{{"block_size", block_size},
                              {"tokens", losses[0].second.tokens},
                              {"window_is_approximate", options.window > 0}};
  for (const auto& [mode, loss] : losses) json["val_loss"][name_of(mode)] = loss.bands;
  say("{}\n", json.dump());
}

void print_text(const OpenedModel& opened, const PositionLosses& losses) {
  say("{}\n", opened.described());
  say("val loss by the tokens before one, each time over the same {} tokens\n",
      losses[0].second.tokens);
  say("{:>17}", "past_block");
  for (const auto& [mode, loss] : losses) say("  {:>6}", name_of(mode));
  const int64_t T = opened.model->config().block_size;
  for (size_t band = 0; band < losses[0].second.bands.size(); ++band) {
    say("\n{:>7} to {:>6}", int64_t(band) * T + 1, int64_t(band + 1) * T);
    for (const auto& [mode, loss] : losses) say("  {:.4f}", loss.bands[band]);
  }
  say("\n");
}

void print_text(const OpenedModel& opened, const std::vector<Figures>& splits, int64_t stride) {
  say("{}\n", opened.described());
  int64_t T = opened.model->config().block_size;
  if (stride < T)
    say("windows of {} tokens, {} apart: {} or more of context\n", T, stride, T - stride);
  for (const Figures& figures : splits) {
    say("{:5} loss {:.4f}, perplexity {:.2f}", figures.split, figures.loss.loss,
        perplexity(figures.loss));
    if (auto bits = figures.bits_per_byte()) say(", {:.3f} bits per byte", *bits);
    say(", over {} tokens of {} bytes\n", figures.loss.tokens, figures.bytes);
  }
}

void check_together(const EvalOptions& options, const OptionOrigins& given) {
  auto refuse = [&](const char* name, const char* why) {
    if (auto origin = given.find(name); origin != given.end())
      fail("{}: {}: {}; leave it out", origin->second, name, why);
  };
  if (options.by_position > 0)
    refuse("stride", "has no effect with by_position, whose texts go on over the cache");
  else
    for (const char* name : {"past_block", "eval_tokens"})
      refuse(name, "has no effect without by_position");
}

}  // namespace

// folio eval [--out_dir=DIR | --init_from=MODEL] [--key=value ...]
int eval_command(int argc, char** argv) {
  EvalOptions options;
  std::vector<std::string> args(argv + 1, argv + argc);
  OptionTable table(option_rows(options));
  table.parse(
      "folio eval [--out_dir=DIR | --init_from=MODEL] [--key=value ...]\n\n"
      "Says the loss over both splits of a dataset, in nats a token, and the bits that\neach byte "
      "of "
      "the text takes, by which models of different tokenizers compare.",
      args);
  check_together(options, table.given());
  set_parallel_threads(int(options.threads));

  set_stop_answer("the evaluation ends without a result");
  Interruptible scope;
  OpenedModel opened = open_model(options.init_from, options.out_dir, device_named(options.device),
                                  Purpose::inference, checkpoint_named(options.checkpoint));
  Dataset data = open_dataset(dataset_folder(options, opened));
  std::string remark = check_vocabulary(opened, data.meta, options.allow_other_vocab);
  if (!remark.empty()) note("{}\n", remark);
  give_window(opened, options.window);
  opened.model->context().dtype = dtype_named(options.dtype);
  if (!options.weights.empty()) pack(opened, weight_format_named(options.weights));
  int64_t T = opened.model->config().block_size;
  int64_t stride = options.stride > 0 ? options.stride : T;
  int64_t batch_size =
      options.batch_size > 0 ? options.batch_size : std::max<int64_t>(1, 16384 / T);

  if (options.by_position > 0) {
    const PositionLosses losses = losses_by_position(options, *opened.model, data.val, batch_size);
    options.json ? print_json(losses, options, T) : print_text(opened, losses);
    return 0;
  }
  std::vector<Figures> splits;
  for (const auto& [name, tokens] : {std::pair{"train", &data.train}, {"val", &data.val}})
    splits.push_back({name, whole_split_loss(*opened.model, *tokens, batch_size, stride),
                      text_bytes(*tokens, *data.meta.tokenizer, 1)});
  options.json ? print_json(splits, stride) : print_text(opened, splits, stride);
  return 0;
}

}  // namespace folio

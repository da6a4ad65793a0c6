#include "commands/eval_command.h"

#include <nlohmann/json.hpp>

#include "checkpoint/open_model.h"
#include "configs/model_rows.h"
#include "configs/option_table.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"
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
             one_of({"", "float32", "bfloat16", "int8", "int4"})}})},
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
      {"speed and memory",
       {{"batch_size", &o.batch_size, "windows per batch; 0: as many as make 16,384 tokens",
         at_least(0)},
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

void print_json(const SplitLoss& train, const SplitLoss& val, int64_t stride) {
  say("{}\n", nlohmann::ordered_json{{"train_loss", train.loss},
                                     {"train_perplexity", perplexity(train)},
                                     {"train_tokens", train.tokens},
                                     {"val_loss", val.loss},
                                     {"val_perplexity", perplexity(val)},
                                     {"val_tokens", val.tokens},
                                     {"stride", stride}}
                  .dump());
}

void print_text(const OpenedModel& opened, const SplitLoss& train, const SplitLoss& val,
                int64_t stride) {
  say("{}\n", opened.described());
  int64_t T = opened.model->config().block_size;
  if (stride < T)
    say("windows of {} tokens, {} apart: {} or more of context\n", T, stride, T - stride);
  for (const auto& [name, split] : {std::pair{"train", &train}, {"val", &val}})
    say("{:5} loss {:.4f}, perplexity {:.2f}, over {} tokens\n", name, split->loss,
        perplexity(*split), split->tokens);
}

}  // namespace

// folio eval [--out_dir=DIR | --init_from=MODEL] [--key=value ...]
int eval_command(int argc, char** argv) {
  EvalOptions options;
  std::vector<std::string> args(argv + 1, argv + argc);
  OptionTable(option_rows(options))
      .parse("folio eval [--out_dir=DIR | --init_from=MODEL] [--key=value ...]", args);
  set_parallel_threads(int(options.threads));

  set_stop_answer("the evaluation ends without a result");
  Interruptible scope;
  OpenedModel opened = open_model(options.init_from, options.out_dir, device_named(options.device),
                                  Purpose::inference, checkpoint_named(options.checkpoint));
  Dataset data = open_dataset(dataset_folder(options, opened));
  std::string remark = check_vocabulary(opened, data.meta, options.allow_other_vocab);
  if (!remark.empty()) note("{}\n", remark);
  opened.model->context().dtype = dtype_named(options.dtype);
  if (!options.weights.empty()) pack(opened, weight_format_named(options.weights));
  int64_t T = opened.model->config().block_size;
  int64_t stride = options.stride > 0 ? options.stride : T;
  int64_t batch_size =
      options.batch_size > 0 ? options.batch_size : std::max<int64_t>(1, 16384 / T);

  SplitLoss train = whole_split_loss(*opened.model, data.train, batch_size, stride);
  SplitLoss val = whole_split_loss(*opened.model, data.val, batch_size, stride);
  options.json ? print_json(train, val, stride) : print_text(opened, train, val, stride);
  return 0;
}

}  // namespace folio

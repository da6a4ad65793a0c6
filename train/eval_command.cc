#include "train/eval_command.h"

#include "checkpoint/model_file.h"
#include "train/evaluate.h"

namespace folio {
namespace {

struct EvalOptions {
  std::string out_dir = "out";
  std::string dataset = "";
  std::string data_dir = "";
  std::string dtype = "float32";
  int64_t batch_size = 64;
  int64_t threads = 0;
  bool json = false;
};

std::vector<Option> option_rows(EvalOptions& o) {
  return {{"out_dir", &o.out_dir, "folder of the checkpoint"},
          {"dataset", &o.dataset, "whose splits to evaluate; empty: the one it was trained on"},
          {"data_dir", &o.data_dir, "folder of the prepared datasets; empty: the run's"},
          {"dtype", &o.dtype, "float32 or bfloat16", one_of({"float32", "bfloat16"})},
          {"batch_size", &o.batch_size, "windows at a time", at_least(1)},
          {"threads", &o.threads, "of the CPU; 0: all", at_least(0)},
          {"json", &o.json, "print one JSON object"}};
}

}  // namespace

// folio eval --out_dir=DIR [--key=value ...]
int eval_command(int argc, char** argv) {
  EvalOptions options;
  std::vector<std::string> args(argv + 1, argv + argc);
  OptionTable(option_rows(options)).parse("folio eval --out_dir=DIR [--key=value ...]", args);
  backend(cpu).set_threads(int(options.threads));

  CheckpointFile file = load(best_checkpoint(options.out_dir));
  auto or_saved = [&](const std::string& given, const char* key) {
    return given.empty() ? file.attribute<std::string>(std::string("option/") + key) : given;
  };
  std::filesystem::path folder = std::filesystem::path(or_saved(options.data_dir, "data_dir")) /
                                 or_saved(options.dataset, "dataset");
  Dataset data = open_dataset(folder.string());
  std::unique_ptr<Gpt> model = load_model(file);
  model->context().dtype = dtype_named(options.dtype);
  check(*data.meta.tokenizer == *saved_tokenizer(file),
        "{}: the dataset has another vocabulary than the model in {}", folder.string(),
        file.path.string());

  SplitLoss train = whole_split_loss(*model, data.train, options.batch_size);
  SplitLoss val = whole_split_loss(*model, data.val, options.batch_size);
  if (options.json) {
    fmt::print(
        "{{\"train_loss\": {:.6f}, \"train_tokens\": {}, \"val_loss\": {:.6f}, \"val_tokens\": "
        "{}}}\n",
        train.loss, train.tokens, val.loss, val.tokens);
    return 0;
  }
  fmt::print("{}: iteration {}\n", file.path.string(), file.attribute<int64_t>("iter_num"));
  fmt::print("train loss {:.4f} over {} tokens\n", train.loss, train.tokens);
  fmt::print("val loss   {:.4f} over {} tokens\n", val.loss, val.tokens);
  return 0;
}

}  // namespace folio

#include "configs/model_rows.h"

#include <iterator>

namespace folio {
namespace {

std::vector<Option> joined(std::vector<Option> rows, std::vector<Option> more) {
  rows.insert(rows.end(), std::move_iterator(more.begin()), std::move_iterator(more.end()));
  return rows;
}

}  // namespace

Option checkpoint_option(std::string* checkpoint) {
  return {"checkpoint", checkpoint,
          "which of the run's checkpoints: best (the newest, where there is none yet) or last (the "
          "newest)",
          one_of({"best", "last"})};
}

Option window_option(int64_t* window) {
  return {"window", window,
          "for a model with rotary positions that was trained without a window: positions that one "
          "sees, up to block_size, an approximation whose texts have no end; 0: as trained",
          at_least(0)};
}

std::vector<Option> model_rows(std::string* init_from, std::string* out_dir,
                               std::string* checkpoint, std::vector<Option> more) {
  return joined(
      {path_option("init_from", init_from,
                   "resume: the checkpoint in out_dir; gpt2, gpt2-medium, ...; or the path of a "
                   "model"),
       path_option("out_dir", out_dir, "folder of the run whose checkpoint is opened"),
       checkpoint_option(checkpoint)},
      std::move(more));
}

std::vector<Option> tokenizer_rows(std::string* tokenizer, std::string* dataset,
                                   std::string* data_dir, std::vector<Option> more) {
  return joined(
      {path_option("tokenizer", tokenizer,
                   "for a model file without one: gpt2, or the path of Hugging Face's tokenizer "
                   "files or of a dataset's meta.json"),
       {"dataset", dataset,
        "for a model file without a tokenizer: the prepared dataset that has it; none given: "
        "the one it was trained on"},
       path_option("data_dir", data_dir, "folder of the prepared datasets; none given: the run's")},
      std::move(more));
}

}  // namespace folio

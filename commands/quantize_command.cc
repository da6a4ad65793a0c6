#include "commands/quantize_command.h"

#include "checkpoint/model_file.h"
#include "checkpoint/open_model.h"
#include "checkpoint/quantized_file.h"
#include "checkpoint/saved_text_format.h"
#include "configs/model_rows.h"
#include "core/process/output.h"
#include "core/process/progress_line.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

void check_place(const fs::path& to, const std::string& source) {
  check(to.extension() == ".h5", "--to={}: the file's name must end with .h5", to.string());
  std::error_code missing;
  check(!fs::equivalent(to, source, missing),
        "--to={}: would replace the model that it is made from; give it another name", to.string());
}

// What the model's own run was: its dataset is what folio eval takes.
void put_origin(CheckpointFile& file, const OpenedModel& opened) {
  for (const auto& [key, value] : opened.attributes)
    if (key.starts_with("option/") || key == "iter_num" || key == "val_loss" ||
        key == "best_val_loss")
      file.attributes.emplace(key, value);
  if (opened.tokenizer) put_tokenizer(file, *opened.tokenizer);
  put_text_format(file, opened.format);
}

}  // namespace

// folio quantize --to=FILE.h5 [--weights=int8] [--out_dir=DIR | --init_from=MODEL]
int quantize_command(int argc, char** argv) {
  std::string init_from = "resume", out_dir = "out", checkpoint = "best", to, weights = "int8";
  OptionTable table(model_rows(
      &init_from, &out_dir, &checkpoint,
      {path_option("to", &to, "file to write, FILE.h5"),
       {"weights", &weights, "format of the weights: bfloat16, or blocks of int8 or int4",
        one_of({"bfloat16", "int8", "int4"})}}));
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse("folio quantize --to=FILE.h5 [--weights=int8] [--out_dir=DIR | --init_from=MODEL]",
              args);
  check(!to.empty(), "quantize: say where to, with --to=FILE.h5");

  set_stop_answer("stopping; nothing is written");
  OpenedModel opened =
      open_model(init_from, out_dir, cpu, Purpose::any, checkpoint_named(checkpoint));
  if (!opened.attributes.empty()) say("{}\n", opened.described());
  check_place(to, opened.source);
  int64_t before = opened.model->num_params(false) * int64_t(sizeof(float));
  CheckpointFile file;
  {
    ProgressLine line("quantising", before);
    file = quantize(*opened.model, weight_format_named(weights),
                    [&](int64_t done) { line.update(done); });
  }
  put_origin(file, opened);
  throw_if_stopped();
  if (fs::path(to).has_parent_path()) fs::create_directories(fs::path(to).parent_path());
  save(to, file);
  auto after = int64_t(fs::file_size(to));
  say("wrote {} to {}: {}, {} bytes for {} of float32 ({:.1f} %)\n", opened.source, to, weights,
      with_commas(after), with_commas(before), 100 * double(after) / double(before));
  if (!opened.tokenizer) say("{}\n", without_tokenizer(opened));
  return 0;
}

}  // namespace folio

#include "commands/train/train_files.h"

namespace folio {

namespace fs = std::filesystem;

void TrainFiles::open(Run& run, const MachinePeak& peak) {
  const TrainOptions& o = run.options;
  folder_ = o.out_dir;
  const int64_t first = run.resumed() ? run.iter : 0;
  log_attempt_([&] {
    log_.emplace(folder_ / "log.csv", first);
    for (const LogRow& row : read_log(folder_ / "log.csv")) history_.add(row);
  });
  if (first > 0 && fs::exists(folder_ / "samples.jsonl"))
    samples_attempt_([&] {
      samples_ = read_samples(folder_ / "samples.jsonl");
      std::erase_if(samples_, [&](const TrainingSample& sample) { return sample.iter >= first; });
    });
  if (o.tensorboard) events_attempt_([&] { events_.emplace(folder_ / "tensorboard", first); });
  if (o.report) page_.emplace(run, peak);
}

void TrainFiles::add(const LogRow& row, double tokens_per_iteration) {
  history_.add(row);
  if (log_) log_attempt_([&] { log_->add(row); });
  if (!events_) return;
  std::vector<std::pair<std::string, double>> values;
  auto add = [&](const char* tag, const std::optional<double>& value) {
    if (value) values.emplace_back(tag, *value);
  };
  add("loss/train", row.train_loss), add("loss/val", row.val_loss);
  add("loss/step", row.step_loss), add("learning_rate", row.lr);
  add("gradient_norm", row.grad_norm), add("update_ratio/median", row.update_ratio);
  add("update_ratio/least", row.update_ratio_least);
  add("update_ratio/most", row.update_ratio_most);
  if (row.ms && *row.ms > 0)
    values.emplace_back("tokens_per_second", 1e3 * tokens_per_iteration / *row.ms);
  events_attempt_([&] { events_->scalars(row.iter, values); });
}

void TrainFiles::add(const TrainingSample& sample) {
  samples_.push_back(sample);
  samples_attempt_(
      [&] { write_file((folder_ / "samples.jsonl").string(), to_json_lines(samples_)); });
  if (events_) events_attempt_([&] { events_->text(sample.iter, "sample", sample.text); });
}

void TrainFiles::write_page(const std::string& state, When when) {
  const auto begin = std::chrono::steady_clock::now(), last = page_written_;
  if (!page_ || (when != When::now && begin < last + 100 * page_took_) ||
      (when == When::stepped && begin < last + std::chrono::seconds(10)))
    return;
  page_attempt_([&] {
    write_file((folder_ / "report.html").string(), page_->html(history_, samples_, state));
  });
  page_written_ = std::chrono::steady_clock::now();
  page_took_ = page_written_ - begin;
}

bool TrainFiles::complete() const {
  return !log_attempt_.failed() && !samples_attempt_.failed() && !events_attempt_.failed() &&
         !page_attempt_.failed();
}

}  // namespace folio

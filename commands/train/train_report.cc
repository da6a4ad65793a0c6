#include "commands/train/train_report.h"

#include <cmath>

#include "commands/train/training_sample.h"
#include "data/tokenizer/char_tokenizer.h"
#include "train/optimizer/schedule.h"

namespace folio {
namespace {

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

int64_t sample_tokens(const TrainOptions& options, const Tokenizer& tokenizer) {
  if (options.sample_tokens >= 0) return options.sample_tokens;
  return dynamic_cast<const CharTokenizer*>(&tokenizer) ? 100 : 0;
}

}  // namespace

Report::~Report() {
  terminal_.clear_line();
  if (!writes_ || finished_) return;
  try {
    files_.write_page("failed", TrainFiles::When::now);
  } catch (const std::exception&) {  // without memory, say: what ended the run is told by others
  }
}

void Report::start(Run& run) {
  const TrainOptions& o = run.options;
  tokens_per_iteration_ = double(o.gradient_accumulation_steps * o.batch_size * o.model.block_size);
  flops_per_iteration_ = run.model->training_flops_per_token() * tokens_per_iteration_;
  ranks_ = run.ranks ? run.ranks->size() : 1;
  first_ = run.iter;
  writes_ = !o.eval_only;
  shows_text_ = o.plot == "on" || (o.plot == "auto" && terminal_.live());
  if (writes_ && (o.report || o.tensorboard || shows_text_))
    sample_tokens_ = sample_tokens(o, *run.data.meta.tokenizer);
  terminal_.start(run);
  MachinePeak peak;
  const bool shows_steps = writes_ && (terminal_.live() || (run.resumed() && o.report) ||
                                       o.log_interval <= o.max_iters - run.iter);
  if (shows_steps) peak = backend(run.model->context().device)->machine.measure_peak();
  peak_flops_ = peak.of(dtype_named(o.dtype)).flops;
  if (writes_) files_.open(run, peak);
  seconds_before_ = files_.history().seconds();
  for (const LogRow& row : files_.history().evaluations())
    advice_.after(row.iter, {row.train_loss.value_or(NAN), *row.val_loss});
  if (writes_ && measures_update(run, run.iter)) update_ratio_.before(*run.model);
  started_ = last_step_ = last_shown_ = Clock::now();
  if (writes_) files_.write_page("running", TrainFiles::When::now);
}

double Report::seconds_so_far() const { return seconds_before_ + seconds(Clock::now() - started_); }

// Of five logged steps between two evaluations: it costs a pass over some of the weights.
bool Report::measures_update(const Run& run, int64_t iter) const {
  const TrainOptions& o = run.options;
  if (!o.report && !o.tensorboard) return false;
  const int64_t fifth = std::max<int64_t>(1, o.eval_interval / 5);
  return iter % ((fifth + o.log_interval - 1) / o.log_interval * o.log_interval) == 0;
}

void Report::evaluated(const Run& run, const Losses& losses) {
  terminal_.evaluated(run, losses);
  if (writes_) {
    files_.add({.iter = run.iter,
                .train_loss = losses.train,
                .val_loss = losses.val,
                .lr = learning_rate(run.iter, run.options),
                .seconds = seconds_so_far()},
               tokens_per_iteration_);
    const bool finite = std::isfinite(losses.train) && std::isfinite(losses.val);
    if (finite && sample_tokens_ > 0) take_sample(run);
    if (std::string sentence = advice_.after(run.iter, losses); !sentence.empty())
      terminal_.remark(sentence);
    files_.write_page("running", TrainFiles::When::evaluated);
  }
  last_step_ = Clock::now();
}

void Report::take_sample(const Run& run) {
  try {
    const TrainingSample sample{run.iter, training_sample(*run.model, *run.data.meta.tokenizer,
                                                          run.text_format.ends, sample_tokens_)};
    files_.add(sample);
    if (shows_text_) terminal_.sample(sample);
  } catch (const Error& error) {
    complete_ = false;
    sample_tokens_ = 0;
    note("folio: no sample: {}; the run goes on without samples\n", error.what());
  }
}

void Report::saved(const std::filesystem::path& path) {
  terminal_.saved(path);
  last_step_ = Clock::now();
}

void Report::not_saved(const std::exception& error) {
  terminal_.clear_line();
  complete_ = false;
  note("folio: {}\n", visible(error.what()));
}

Pace Report::pace() const {
  Pace pace{step_seconds_, tokens_per_iteration_ / step_seconds_};
  if (ranks_ > 1) pace.share_waited = waited_seconds_ / step_seconds_;
  if (peak_flops_ > 0 && steps_ >= 5)
    pace.share_of_peak = flops_per_iteration_ / step_seconds_ / peak_flops_ / ranks_;
  return pace;
}

void Report::stepped(const Run& run, const Step& step) {
  const Clock::time_point now = Clock::now();
  const double taken = seconds(now - last_step_);
  last_loss_ = step.loss;
  const double smooth = steps_++ < 5 ? 0 : 0.9;
  step_seconds_ = smooth * step_seconds_ + (1 - smooth) * taken;
  waited_seconds_ = smooth * waited_seconds_ + (1 - smooth) * step.waited;
  const bool logged = step.iter % run.options.log_interval == 0;
  if (logged) {
    LogRow row{.iter = step.iter,
               .step_loss = step.loss,
               .lr = learning_rate(step.iter, run.options),
               .ms = taken * 1e3,
               .grad_norm = step.grad_norm,
               .seconds = seconds_so_far()};
    if (update_ratio_.has_before()) {
      if (auto ratios = update_ratio_.after(*run.model)) {
        row.update_ratio = ratios->median;
        row.update_ratio_least = ratios->least;
        row.update_ratio_most = ratios->most;
      }
    }
    files_.add(row, tokens_per_iteration_);
  }
  if (measures_update(run, step.iter + 1)) update_ratio_.before(*run.model);
  const bool due = seconds(now - last_shown_) > 0.2;
  if (terminal_.live() ? due : logged) {
    terminal_.stepped(run, step, pace());
    last_shown_ = now;
  }
  files_.write_page("running", TrainFiles::When::stepped);
  last_step_ = Clock::now();
}

void Report::finish(const Run& run, Finish finish) {
  finished_ = true;
  terminal_.clear_line();
  if (shows_text_) terminal_.plot(files_.history());
  const bool trained = run.iter > first_;
  terminal_.finish(run, finish, trained, steps_ > 0 ? std::optional(last_loss_) : std::nullopt);
  files_.write_page(finish == Finish::done         ? "finished"
                    : finish == Finish::early_stop ? "stopped early"
                                                   : "stopped",
                    TrainFiles::When::now);
}

}  // namespace folio

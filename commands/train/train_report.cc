#include "commands/train/train_report.h"

#include <unistd.h>

#include <cmath>

#include "checkpoint/model_file.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "train/schedule.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string time_left(double s) {
  auto whole = int64_t(s + 0.5);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

// As a shell takes it for one word.
std::string shell_word(const std::string& text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+,:@%";
  if (text.find_first_not_of(plain) == text.npos) return text;
  std::string quoted = "'";
  for (char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// What to type to go on.
std::string resume_command(const Run& run) {
  return "folio train --init_from=resume " + shell_word("--out_dir=" + run.options.out_dir);
}

std::string best_loss(const Run& run) {
  return std::isfinite(run.best_val_loss) ? fmt::format("best val loss {:.4f}", run.best_val_loss)
                                          : "no val loss after iteration 0";
}

}  // namespace

Report::Report() : terminal_(isatty(STDOUT_FILENO) == 1) {}

Report::~Report() { clear_line(); }

// Calls `write` unless it has failed before. Output without a reader is a request to stop, which
// the loop hears.
template <class Write>
void Report::attempt(bool& broken, Write&& write) {
  if (broken) return;
  try {
    write();
  } catch (const Interrupted&) {
    broken = true;
    note("folio: standard output has no reader any more; the run stops, as for Ctrl-C\n");
  } catch (const Error& error) {
    broken = true;
    complete_ = false;
    note("folio: {}; the run goes on without it\n", error.what());
  }
}

void Report::print(const std::string& text) {
  attempt(output_broken_, [&] { write_output(text); });
}

void Report::log(const std::string& row) {
  if (!log_) return;
  attempt(log_broken_, [&] { log_->add(row); });
}

void Report::start(Run& run) {
  const TrainOptions& o = run.options;
  tokens_per_iteration_ = o.gradient_accumulation_steps * o.batch_size * o.model.block_size;
  flops_per_iteration_ = run.model->training_flops_per_token() * double(tokens_per_iteration_);
  first_ = run.iter;
  for (const std::string& note : run.notes) print(note + "\n");
  print(differing_options(option_values(o), option_values(TrainOptions{}), run.origins,
                          terminal_width(STDOUT_FILENO)));
  print(fmt::format("tokens per iteration will be: {}\n", tokens_per_iteration_));
  print(fmt::format("number of parameters: {:.2f}M\n", double(run.model->num_params()) / 1e6));
  if (!run.taken_over.empty()) print(run.taken_over + "\n");
  if (run.resumed()) print(fmt::format("resuming from {} at iteration {}\n", o.out_dir, run.iter));
  if (!o.eval_only) {
    attempt(log_broken_,
            [&] { log_.emplace(fs::path(o.out_dir) / "log.csv", run.resumed() ? run.iter : 0); });
  }
  bool prints_steps = !o.eval_only && (terminal_ || o.log_interval <= o.max_iters - run.iter);
  if (prints_steps) peak_ = backend(run.model->context().device)->machine.measure_peak();
  last_step_ = last_shown_ = Clock::now();
}

void Report::evaluated(const Run& run, const Losses& losses) {
  clear_line();
  print(fmt::format("step {}: train loss {:.4f}, val loss {:.4f}\n", run.iter, losses.train,
                    losses.val));
  log(fmt::format("{},{:.6f},{:.6f},,{:g},,", run.iter, losses.train, losses.val,
                  learning_rate(run.iter, run.options)));
  last_step_ = Clock::now();
}

void Report::saved(const fs::path& path) {
  clear_line();
  print(fmt::format("saved checkpoint to {}\n", path.string()));
  last_step_ = Clock::now();
}

void Report::not_saved(const std::exception& error) {
  clear_line();
  complete_ = false;
  note("folio: {}\n", error.what());
}

void Report::stepped(const Run& run, const Step& step) {
  Clock::time_point now = Clock::now();
  double taken = seconds(now - last_step_);
  last_step_ = now;
  last_loss_ = step.loss;
  step_seconds_ = steps_++ < 5 ? taken : 0.9 * step_seconds_ + 0.1 * taken;
  bool logged = step.iter % run.options.log_interval == 0;
  if (logged)
    log(fmt::format("{},,,{:.6f},{:g},{:.2f},{:.6f}", step.iter, step.loss,
                    learning_rate(step.iter, run.options), taken * 1e3, step.grad_norm));
  bool due = seconds(now - last_shown_) > 0.2;
  if (terminal_ ? due : logged) {
    print_step(run, step);
    last_shown_ = now;
  }
}

void Report::print_step(const Run& run, const Step& step) {
  bool bf16 = run.options.dtype == "bfloat16";
  double machine = bf16 ? peak_.bf16_flops : peak_.f32_flops;
  std::string share =
      machine > 0 && steps_ >= 5
          ? fmt::format(", {:.0f} % of peak", 100 * flops_per_iteration_ / step_seconds_ / machine)
          : "";
  std::string line =
      fmt::format("iter {}: loss {:.4f}, time {:.2f}ms, {:.0f} tokens/s{}", step.iter, step.loss,
                  step_seconds_ * 1e3, double(tokens_per_iteration_) / step_seconds_, share);
  if (!terminal_) return print(line + "\n");
  line += fmt::format(", {} left",
                      time_left(step_seconds_ * double(run.options.max_iters + 1 - run.iter)));
  print("\r\033[K" + line.substr(0, size_t(terminal_width(STDOUT_FILENO) - 1)));
}

void Report::clear_line() {
  if (terminal_) print("\r\033[K");
}

void Report::finish(const Run& run, Finish finish) {
  clear_line();
  const TrainOptions& o = run.options;
  if (finish == Finish::interrupted) {
    std::string loss = steps_ > 0 ? fmt::format(", loss {:.4f}", last_loss_) : "";
    print(fmt::format("stopped after {} iterations{}; saved to {}\ngo on with: {}\n", run.iter,
                      loss, last_checkpoint(o.out_dir).string(), resume_command(run)));
  } else if (run.iter == first_) {
    print(
        fmt::format("nothing to train: {} iterations are done and max_iters is {}; go on with: "
                    "{} --max_iters=N\n",
                    run.iter, o.max_iters, resume_command(run)));
  } else {
    print(fmt::format("stopped after {} iterations; {}; state in {}\n", run.iter, best_loss(run),
                      o.out_dir));
  }
}

}  // namespace folio

#include "train/report.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/output.h"
#include "data/files.h"
#include "train/schedule.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
constexpr const char* log_header = "iter,train_loss,val_loss,step_loss,lr,ms\n";

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string time_left(double s) {
  auto whole = int64_t(s + 0.5);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

// The rows of a log before iteration `iter`: those that a resumed run does not write again.
std::string rows_before(const fs::path& path, int64_t iter) {
  std::ifstream in(path);
  std::string kept, row;
  std::getline(in, row);
  while (std::getline(in, row)) {
    if (!row.empty() && std::strtoll(row.c_str(), nullptr, 10) < iter) kept += row + "\n";
  }
  return kept;
}

}  // namespace

Report::Report() : terminal_(isatty(STDOUT_FILENO) == 1) {}

Report::~Report() {
  clear_line();
  if (log_) std::fclose(log_);
}

void Report::open_log(const Run& run) {
  fs::path path = fs::path(run.options.out_dir) / "log.csv";
  std::string kept = run.iter > 0 ? rows_before(path, run.iter) : "";
  write_file(path, log_header + kept);
  log_ = std::fopen(path.c_str(), "a");
  check(log_ != nullptr, "{}: cannot write: {}", path.string(), std::strerror(errno));
}

void Report::start(Run& run) {
  const TrainOptions& o = run.options;
  tokens_per_iteration_ = o.gradient_accumulation_steps * o.batch_size * o.block_size;
  flops_per_iteration_ = run.model->training_flops_per_token() * double(tokens_per_iteration_);
  say("tokens per iteration will be: {}\n", tokens_per_iteration_);
  say("number of parameters: {:.2f}M\n", double(run.model->num_params()) / 1e6);
  if (!run.taken_over.empty()) {
    say("{}\n", run.taken_over);
  } else if (run.iter > 0) {
    say("resuming from {} at iteration {}\n", o.out_dir, run.iter);
  }
  std::fflush(stdout);
  if (!o.eval_only) open_log(run);
  last_step_ = last_shown_ = Clock::now();
}

void Report::evaluated(const Run& run, const Losses& losses) {
  clear_line();
  say("step {}: train loss {:.4f}, val loss {:.4f}\n", run.iter, losses.train, losses.val);
  std::fflush(stdout);
  if (log_) {
    fmt::print(log_, "{},{:.6f},{:.6f},,{:g},\n", run.iter, losses.train, losses.val,
               learning_rate(run.iter, run.options));
    std::fflush(log_);
  }
  last_step_ = Clock::now();
}

void Report::saved(const fs::path& path) {
  clear_line();
  say("saved checkpoint to {}\n", path.string());
  std::fflush(stdout);
  last_step_ = Clock::now();
}

void Report::stepped(const Run& run, double loss) {
  Clock::time_point now = Clock::now();
  double taken = seconds(now - last_step_);
  last_step_ = now;
  step_seconds_ = steps_++ < 5 ? taken : 0.9 * step_seconds_ + 0.1 * taken;
  bool logged = run.iter % run.options.log_interval == 0;
  if (logged) {
    fmt::print(log_, "{},,,{:.6f},{:g},{:.2f}\n", run.iter, loss,
               learning_rate(run.iter, run.options), taken * 1e3);
  }
  bool due = seconds(now - last_shown_) > 0.2;
  if (terminal_ ? due : logged) {
    print_step(run, loss);
    last_shown_ = now;
  }
}

void Report::print_step(const Run& run, double loss) {
  if (steps_ == 5 || (steps_ > 5 && peak_.f32_flops == 0)) {
    peak_ = measure_peak();
    last_step_ = Clock::now();
  }
  bool bf16 = run.options.dtype == "bfloat16";
  double machine = bf16 ? peak_.bf16_flops : peak_.f32_flops;
  std::string share =
      machine > 0
          ? fmt::format(", {:.0f} % of peak", 100 * flops_per_iteration_ / step_seconds_ / machine)
          : "";
  std::string line =
      fmt::format("iter {}: loss {:.4f}, time {:.2f}ms, {:.0f} tokens/s{}", run.iter, loss,
                  step_seconds_ * 1e3, double(tokens_per_iteration_) / step_seconds_, share);
  if (terminal_) {
    say("\r\033[K{}, {} left", line,
        time_left(step_seconds_ * double(run.options.max_iters - run.iter)));
  } else {
    say("{}\n", line);
  }
  std::fflush(stdout);
}

void Report::clear_line() {
  if (terminal_) say("\r\033[K");
}

void Report::finish(const Run& run) {
  clear_line();
  say("stopped after {} iterations; best val loss {:.4f}; state in {}\n", run.iter,
      run.best_val_loss, run.options.out_dir);
  std::fflush(stdout);
}

}  // namespace folio

#pragma once
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "core/machine.h"
#include "train/train.h"

namespace folio {

// What the user sees of a run: nanoGPT's lines on standard output, on a terminal a progress line
// that is rewritten in place, and out_dir/log.csv with a row an evaluation and a row a logged step.
class Report : public Observer {
 public:
  Report();
  ~Report() override;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void start(Run& run) override;
  void evaluated(const Run& run, const Losses& losses) override;
  void saved(const std::filesystem::path& path) override;
  void stepped(const Run& run, double loss) override;
  void finish(const Run& run) override;

 private:
  using Clock = std::chrono::steady_clock;
  void open_log(const Run& run);
  void print_step(const Run& run, double loss);
  void clear_line();

  bool terminal_;
  std::FILE* log_ = nullptr;
  MachinePeak peak_;
  double flops_per_iteration_ = 0;
  int64_t tokens_per_iteration_ = 0;
  int64_t steps_ = 0;        // by this process
  double step_seconds_ = 0;  // smoothed, evaluations not counted
  Clock::time_point last_step_, last_shown_;
};

}  // namespace folio

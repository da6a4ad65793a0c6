#pragma once
#include <chrono>
#include <optional>

#include "core/machine.h"
#include "train/log_file.h"
#include "train/observer.h"

namespace folio {

// What the user sees of a run: nanoGPT's lines on standard output, on a terminal a progress line
// that is rewritten in place, and out_dir/log.csv. What cannot be written ends no run: the first
// failure of each is said on standard error at once, and complete() tells at the end.
class Report : public Observer {
 public:
  Report();
  ~Report() override;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void start(Run& run) override;
  void evaluated(const Run& run, const Losses& losses) override;
  void saved(const std::filesystem::path& path) override;
  void not_saved(const std::exception& error) override;
  void stepped(const Run& run, const Step& step) override;
  void finish(const Run& run, Finish finish) override;

  bool complete() const { return complete_; }  // everything was written

 private:
  using Clock = std::chrono::steady_clock;
  template <class Write>
  void attempt(bool& broken, Write&& write);
  void print(const std::string& text);  // to standard output, at once
  void log(const std::string& row);
  void print_step(const Run& run, const Step& step);
  void clear_line();

  const bool terminal_;
  std::optional<LogFile> log_;
  bool log_broken_ = false, output_broken_ = false, complete_ = true;
  MachinePeak peak_;
  double flops_per_iteration_ = 0;
  int64_t tokens_per_iteration_ = 0;
  int64_t first_ = 0;        // iteration, of this process
  int64_t steps_ = 0;        // by this process
  double last_loss_ = 0;     // of the last of them
  double step_seconds_ = 0;  // smoothed, evaluations not counted
  Clock::time_point last_step_, last_shown_;
};

}  // namespace folio

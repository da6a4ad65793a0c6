#pragma once
#include <chrono>

#include "commands/train/loss_advice.h"
#include "commands/train/train_files.h"
#include "commands/train/train_terminal.h"
#include "commands/train/update_ratio.h"
#include "core/machine.h"
#include "train/observer.h"

namespace folio {

// Watches a run, and shows it: on standard output (TrainTerminal) and in out_dir (TrainFiles). It
// draws from none of the run's random streams and changes nothing of it: with everything on or off
// a run ends in the same bytes. What cannot be written ends no run: the first failure of each is
// said on standard error at once, and complete() tells at the end.
class Report : public Observer {
 public:
  Report() = default;
  ~Report() override;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  void start(Run& run) override;
  void evaluated(const Run& run, const Losses& losses) override;
  void saved(const std::filesystem::path& path) override;
  void not_saved(const std::exception& error) override;
  void stepped(const Run& run, const Step& step) override;
  void finish(const Run& run, Finish finish) override;

  bool complete() const { return complete_ && terminal_.complete() && files_.complete(); }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_so_far() const;
  Pace pace() const;
  void take_sample(const Run& run);
  bool measures_update(const Run& run, int64_t iter) const;

  TrainTerminal terminal_;
  TrainFiles files_;
  LossAdvice advice_;
  UpdateRatio update_ratio_;
  bool complete_ = true, finished_ = false;
  bool writes_ = false, shows_text_ = false;  // keeps files; prints samples and the plot
  int64_t sample_tokens_ = 0;
  double peak_flops_ = 0;  // of the run's dtype; 0: not measured
  double tokens_per_iteration_ = 0, flops_per_iteration_ = 0;
  int64_t first_ = 0;          // iteration, of this process
  int64_t steps_ = 0;          // by this process
  double last_loss_ = 0;       // of the last of them
  double step_seconds_ = 0;    // smoothed, evaluations not counted
  double waited_seconds_ = 0;  // of these, for the other ranks
  int ranks_ = 1;
  double seconds_before_ = 0;  // that the run took in earlier processes
  Clock::time_point started_, last_step_, last_shown_;
};

}  // namespace folio

#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "commands/train/attempt.h"
#include "commands/train/event_file.h"
#include "commands/train/report_page.h"
#include "commands/train/run_history.h"

namespace folio {

// What a run keeps of itself beside its checkpoints, in out_dir: log.csv, samples.jsonl,
// report.html and, with tensorboard, event files. One that cannot be written ends no run, and the
// others go on. A resumed run goes on with what its files say of the iterations before run.iter.
class TrainFiles {
 public:
  void open(Run& run, const MachinePeak& peak);

  void add(const LogRow& row, double tokens_per_iteration);
  void add(const TrainingSample& sample);
  // report.html, whole or as it was before; `state` says what the run does.
  enum class When {
    now,
    evaluated,  // unless that would make writing it more than 1 % of the time
    stepped,    // likewise, and at most every 10 seconds
  };
  void write_page(const std::string& state, When when);

  const RunHistory& history() const { return history_; }
  const std::vector<TrainingSample>& samples() const { return samples_; }
  bool complete() const;

 private:
  std::filesystem::path folder_;
  std::optional<LogFile> log_;
  std::optional<EventFile> events_;
  std::optional<ReportPage> page_;
  Attempt log_attempt_, samples_attempt_, events_attempt_, page_attempt_;
  RunHistory history_;
  std::vector<TrainingSample> samples_;
  std::chrono::steady_clock::time_point page_written_ = {};
  std::chrono::steady_clock::duration page_took_ = {};
};

}  // namespace folio

#pragma once
#include <optional>
#include <string>

#include "commands/train/attempt.h"
#include "commands/train/run_history.h"
#include "train/observer.h"

namespace folio {

// How fast a run is, evaluations and saves not counted.
struct Pace {
  double step_seconds = 0;  // of an iteration, smoothed
  double tokens_per_second = 0;
  std::optional<double> share_of_peak = {};  // of the machine's measured multiply-adds
  std::optional<double> share_waited = {};   // of the time, for the other ranks
};

// What a run says on standard output: nanoGPT's lines and, on a terminal, a line that is rewritten
// in place. Texts of users cannot steer the terminal: see visible() in data/text.
class TrainTerminal {
 public:
  TrainTerminal();
  bool live() const { return live_; }  // it is a terminal

  void start(const Run& run);
  void evaluated(const Run& run, const Losses& losses);
  void sample(const TrainingSample& sample);
  void remark(const std::string& sentence);
  void saved(const std::filesystem::path& path);
  void stepped(const Run& run, const Step& step, const Pace& pace);
  void plot(const RunHistory& history);
  // `loss` is that of the last step; none: there was none.
  void finish(const Run& run, Finish finish, bool trained, std::optional<double> loss);
  void clear_line();

  bool complete() const { return !output_.failed(); }

 private:
  void print(const std::string& text);
  std::string progress(const Run& run, const Step& step, const Pace& pace) const;

  const bool live_;
  Attempt output_;
};

}  // namespace folio

#pragma once
#include <optional>

#include "commands/train/attempt.h"
#include "inspect/over_training.h"
#include "train/observer.h"

namespace folio {

// Keeps what the inside of the model is like at each evaluation (out_dir/inside.jsonl), for
// `folio inspect` to show, unless the run has report=false, and passes on all that it is told. What
// cannot be written is said once, and ends no run.
class InsideObserver : public Observer {
 public:
  explicit InsideObserver(Observer& next) : next_(next) {}

  void start(Run& run) override;
  void evaluated(const Run& run, const Losses& losses) override;
  void saved(const std::filesystem::path& path) override { next_.saved(path); }
  void not_saved(const std::exception& error) override { next_.not_saved(error); }
  void stepped(const Run& run, const Step& step) override { next_.stepped(run, step); }
  void finish(const Run& run, Finish finish) override { next_.finish(run, finish); }

 private:
  void keep(const Run& run);

  Observer& next_;
  std::optional<InsideLog> log_;
  Attempt attempt_;
};

}  // namespace folio

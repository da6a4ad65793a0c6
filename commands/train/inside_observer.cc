#include "commands/train/inside_observer.h"

namespace folio {

void InsideObserver::start(Run& run) { next_.start(run); }

void InsideObserver::evaluated(const Run& run, const Losses& losses) {
  if (run.options.report && !run.options.eval_only && run.folder) attempt_([&] { keep(run); });
  next_.evaluated(run, losses);  // afterwards, for whoever times the step that comes
}

void InsideObserver::keep(const Run& run) {
  const InsideState state = inside_state(*run.model, run.data.val, run.iter);
  if (!log_) log_.emplace(std::filesystem::path(run.options.out_dir) / InsideLog::name, run.iter);
  log_->add(state);
}

}  // namespace folio

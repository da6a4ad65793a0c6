#include "commands/train/inside_observer.h"

#include "core/process/output.h"

namespace folio {

void InsideObserver::start(Run& run) { next_.start(run); }

void InsideObserver::evaluated(const Run& run, const Losses& losses) {
  if (run.options.report && !run.options.eval_only && run.folder && !broken_) keep(run);
  next_.evaluated(run, losses);  // afterwards, for whoever times the step that comes
}

void InsideObserver::keep(const Run& run) {
  try {
    const InsideState state = inside_state(*run.model, run.data.val, run.iter);
    const std::filesystem::path path = std::filesystem::path(run.options.out_dir) / InsideLog::name;
    if (!log_) log_.emplace(path, run.iter);
    log_->add(state);
  } catch (const Error& error) {
    broken_ = true;
    note("folio: {}; the run goes on, and folio inspect will not show it over training\n",
         error.what());
  }
}

}  // namespace folio

#include "train/keep.h"

#include <cmath>
#include <functional>

#include "checkpoint/model_file.h"

namespace folio {
namespace {

void save_last(Run& run, const CheckpointFile& state) {
  save(last_checkpoint(run.options.out_dir), state);
  run.saved_iter = run.iter;
}

// Calls `attempt`; what fails, a full disk say, is said and no more.
bool tried(Observer& observer, const std::function<void()>& attempt) {
  try {
    attempt();
    return true;
  } catch (const std::exception& error) {
    observer.not_saved(error);
    return false;
  }
}

}  // namespace

void check_finite(const Run& run, const char* what, double value) {
  if (std::isfinite(value)) return;
  throw NotToSave(
      fmt::format("iteration {}: the {} is {}; stopped before the update. {} Try a lower "
                  "learning_rate.",
                  run.iter, what, value, last_good_state(run)));
}

std::string last_good_state(const Run& run) {
  if (!run.saved_iter) return "Nothing was saved before.";
  return fmt::format("{} has the state of iteration {}.",
                     last_checkpoint(run.options.out_dir).string(), *run.saved_iter);
}

Losses evaluate(Run& run, Observer& observer) {
  std::optional<Average::InPlace> averaged;
  if (run.average) averaged.emplace(*run.average);
  Losses losses = estimate_loss(*run.model, run.data, run.options, run.iter);
  observer.evaluated(run, losses);
  if (!std::isfinite(losses.train) || !std::isfinite(losses.val))
    throw NotToSave(fmt::format(
        "iteration {}: the estimated loss is not finite (train {}, val {}). {} Try a lower "
        "learning_rate.",
        run.iter, losses.train, losses.val, last_good_state(run)));
  return losses;
}

void keep(Run& run, const Losses& losses, Observer& observer) {
  if (run.iter == 0) return;
  const double best_before = run.best_val_loss;
  run.best_val_loss = std::min(best_before, losses.val);
  CheckpointFile state = run.snapshot();
  state.attributes["val_loss"] = losses.val;
  if (losses.val < best_before) {
    std::filesystem::path path = best_checkpoint(run.options.out_dir);
    bool saved = tried(observer, [&] {
      save(path, state);
      observer.saved(path);
    });
    // A loss is the best only once its model is saved.
    if (!saved) state.attributes["best_val_loss"] = run.best_val_loss = best_before;
  }
  tried(observer, [&] { save_last(run, state); });
}

void save_last(Run& run) { save_last(run, run.snapshot()); }

void save_now(Run& run, Observer& observer) {
  tried(observer, [&] {
    save_last(run);
    observer.saved(last_checkpoint(run.options.out_dir));
  });
}

}  // namespace folio

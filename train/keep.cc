#include "train/keep.h"

#include <cmath>
#include <functional>
#include <set>

#include "checkpoint/model_file.h"
#include "core/ranks/leave.h"
#include "train/ranks/shared_state.h"

namespace folio {
namespace {

void save_last(Run& run, const CheckpointFile& state) {
  save_together(last_checkpoint(run.options.out_dir), state, run.ranks.get());
  run.saved_iter = run.iter;
  if (run.ranks)
    set_last_words(last_good_state(run) +
                   " Go on with --init_from=resume, on any number of ranks.");
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

constexpr const char* all_finite = "Every parameter is finite.";

// Where to look first. Forward, numbers spread from the first parameter on; backward, from the
// last.
std::string cause_on_this_rank(const Run& run) {
  std::string first_parameter, last_gradient;
  auto finite = [](const Array& x) { return backend(x)->reductions.all_finite(x); };
  std::set<std::string> gradients;  // that are not finite
  if (run.ranks)
    run.ranks->each_gradient([&](const std::string& name, const Array& gradient) {
      if (!finite(gradient)) gradients.insert(name);
    });
  run.model->parameters([&](const std::string& name, Parameter& parameter) {
    if (first_parameter.empty() && !finite(parameter.array())) first_parameter = name;
    const Array& gradient = parameter.grad();
    if ((gradient.defined() && !finite(gradient)) || gradients.contains(name)) last_gradient = name;
  });
  if (!first_parameter.empty())
    return fmt::format("The first parameter that is not finite is {}.", first_parameter);
  if (!last_gradient.empty())
    return fmt::format(
        "Every parameter is finite; on the way back from the loss, the first gradient that is not "
        "is that of {}.",
        last_gradient);
  return all_finite;
}

// What the first rank found that found something.
std::string cause_of_not_finite(const Run& run) {
  const std::string own = cause_on_this_rank(run);
  if (!run.ranks) return own;
  for (const std::string& cause : run.ranks->ranks().gather(own))
    if (cause != all_finite) return cause;
  return own;
}

}  // namespace

void check_finite(const Run& run, const char* what, double value) {
  if (std::isfinite(value)) return;
  throw NotToSave(
      fmt::format("iteration {}: the {} is {}; stopped before the update. {} {} Try a "
                  "lower learning_rate.",
                  run.iter, what, value, cause_of_not_finite(run), last_good_state(run)));
}

std::string last_good_state(const Run& run) {
  if (!run.saved_iter) return "Nothing was saved before.";
  return fmt::format("{} has the state of iteration {}.",
                     last_checkpoint(run.options.out_dir).string(), *run.saved_iter);
}

Losses evaluate(Run& run, Observer& observer) {
  std::optional<Average::InPlace> averaged;
  if (run.average) averaged.emplace(*run.average);
  Losses losses = estimate_loss(*run.model, run.data, run.options, run.iter, run.ranks.get());
  observer.evaluated(run, losses);
  if (!std::isfinite(losses.train) || !std::isfinite(losses.val))
    throw NotToSave(fmt::format(
        "iteration {}: the estimated loss is not finite (train {}, val {}). {} {} Try a lower "
        "learning_rate.",
        run.iter, losses.train, losses.val, cause_of_not_finite(run), last_good_state(run)));
  return losses;
}

void keep(Run& run, const Losses& losses, Observer& observer) {
  if (run.iter == 0) return;
  const double best_before = run.best_val_loss;
  const int64_t best_iter_before = run.best_iter;
  if (losses.val < best_before) {
    run.best_val_loss = losses.val;
    run.best_iter = run.iter;
  }
  CheckpointFile state = run.snapshot();
  state.attributes["val_loss"] = losses.val;
  if (losses.val < best_before) {
    std::filesystem::path path = best_checkpoint(run.options.out_dir);
    bool saved = tried(observer, [&] {
      save_together(path, state, run.ranks.get());
      observer.saved(path);
    });
    // A loss is the best only once its model is saved.
    if (!saved) {
      state.attributes["best_val_loss"] = run.best_val_loss = best_before;
      state.attributes["best_iter"] = run.best_iter = best_iter_before;
    }
  }
  tried(observer, [&] { save_last(run, state); });
}

bool out_of_patience(const Run& run) {
  const TrainOptions& o = run.options;
  return o.early_stop > 0 &&
         run.iter / o.eval_interval - run.best_iter / o.eval_interval >= o.early_stop;
}

void save_last(Run& run) { save_last(run, run.snapshot()); }

void save_now(Run& run, Observer& observer) {
  tried(observer, [&] {
    save_last(run);
    observer.saved(last_checkpoint(run.options.out_dir));
  });
}

}  // namespace folio

#include "train/train.h"

#include <cmath>
#include <functional>

#include "autograd/ops.h"
#include "checkpoint/model_file.h"
#include "core/process/stop.h"
#include "train/schedule.h"

namespace folio {
namespace {

// The weights are not what they should be: they must not replace a state that was saved.
class NotToSave : public Error {
 public:
  using Error::Error;
};

std::string last_good_state(const Run& run) {
  if (!run.saved_iter) return "Nothing was saved before.";
  return fmt::format("{} has the state of iteration {}.",
                     last_checkpoint(run.options.out_dir).string(), *run.saved_iter);
}

void save_last(Run& run, const CheckpointFile& state) {
  save(last_checkpoint(run.options.out_dir), state);
  run.saved_iter = run.iter;
}

// Calls `attempt`; what fails, a full disk say, is said and no more: the run has its state in
// memory.
bool tried(Observer& observer, const std::function<void()>& attempt) {
  try {
    attempt();
    return true;
  } catch (const std::exception& error) {
    observer.not_saved(error);
    return false;
  }
}

// Beside the evaluations: the user is told.
void save_now(Run& run, Observer& observer) {
  tried(observer, [&] {
    save_last(run, run.snapshot());
    observer.saved(last_checkpoint(run.options.out_dir));
  });
}

Losses evaluate(Run& run, Observer& observer) {
  Losses losses = estimate_loss(*run.model, run.data, run.options, run.iter);
  observer.evaluated(run, losses);
  if (!std::isfinite(losses.train) || !std::isfinite(losses.val))
    throw NotToSave(fmt::format(
        "iteration {}: the estimated loss is not finite (train {}, val {}). {} Try a lower "
        "learning_rate.",
        run.iter, losses.train, losses.val, last_good_state(run)));
  return losses;
}

void evaluate_and_save(Run& run, Observer& observer) {
  Losses losses = evaluate(run, observer);
  if (run.iter == 0) return;  // nothing learned yet
  double best_before = run.best_val_loss;
  if (losses.val < best_before) {
    run.best_val_loss = losses.val;
    CheckpointFile state = run.snapshot();
    state.attributes["val_loss"] = losses.val;
    bool saved = tried(observer, [&] {
      save(best_checkpoint(run.options.out_dir), state);
      observer.saved(best_checkpoint(run.options.out_dir));
    });
    if (!saved) run.best_val_loss = best_before;
  }
  CheckpointFile state = run.snapshot();
  state.attributes["val_loss"] = losses.val;
  tried(observer, [&] { save_last(run, state); });
}

// Unless it is kept, what the iteration did to the run is undone: its draws and its gradients.
class Iteration {
 public:
  explicit Iteration(Run& run)
      : run_(run), masks_(run.model->context().random), batches_(run.batches.generator()) {}
  ~Iteration() {
    if (kept_) return;
    run_.model->context().random = masks_;
    run_.batches.set_generator(batches_);
    run_.optimizer->zero_grad();
  }
  Iteration(const Iteration&) = delete;
  Iteration& operator=(const Iteration&) = delete;
  void keep() { kept_ = true; }

 private:
  Run& run_;
  const Generator masks_, batches_;
  bool kept_ = false;
};

Step one_iteration(Run& run) {
  Iteration iteration(run);
  double loss = accumulate_gradients(run), norm = 0;
  if (!std::isfinite(loss))
    throw NotToSave(fmt::format(
        "iteration {}: the loss is {}; stopped before the update. {} Try a lower learning_rate.",
        run.iter, loss, last_good_state(run)));
  try {
    norm = update(run);
  } catch (const std::exception& error) {
    throw NotToSave(fmt::format("iteration {}: stopped in the middle of the update: {}. {}",
                                run.iter, error.what(), last_good_state(run)));
  }
  iteration.keep();
  return {run.iter++, loss, norm};
}

void run_to_the_end(Run& run, Observer& observer) {
  const TrainOptions& options = run.options;
  while (run.iter <= options.max_iters) {
    if (run.iter % options.eval_interval == 0) evaluate_and_save(run, observer);
    observer.stepped(run, one_iteration(run));
    if (take_save_request()) save_now(run, observer);
    throw_if_stopped();
  }
}

// Before anything is written: an earlier run's files make room.
void take_folder(Run& run) {
  if (run.folder) return;
  run.folder = std::make_unique<RunFolder>(run.options.out_dir);
  if (auto aside = run.folder->set_earlier_run_aside())
    run.notes.push_back(fmt::format("moved the files of an earlier run to {}", aside->string()));
}

}  // namespace

double accumulate_gradients(Run& run) {
  Interruptible scope;
  const TrainOptions& options = run.options;
  double mean = 0;
  for (int64_t micro = 0; micro < options.gradient_accumulation_steps; ++micro) {
    Batch batch = run.batches.next(options.batch_size, options.model.block_size);
    Tensor loss =
        scale(run.model->loss(batch.x, batch.y), 1.0 / double(options.gradient_accumulation_steps));
    loss.backward();
    mean += item(loss.array());
  }
  return mean;
}

double update(Run& run) {
  const TrainOptions& options = run.options;
  Array norm, clip;
  if (options.grad_clip > 0 || run.iter % options.log_interval == 0)
    norm = run.optimizer->grad_norm();
  if (options.grad_clip > 0) clip = backend(norm).clip_scale(norm, options.grad_clip);
  run.optimizer->step(learning_rate(run.iter, options), clip);
  run.optimizer->zero_grad();
  return norm.defined() ? item(norm) : 0;
}

Finish train(Run& run, Observer& observer) {
  throw_if_stopped();
  if (run.options.eval_only) {
    observer.start(run);
    evaluate(run, observer);
    return Finish::done;
  }
  take_folder(run);
  observer.start(run);
  const int64_t first = run.iter;
  Finish finish = Finish::done;
  try {
    run_to_the_end(run, observer);
  } catch (const Interrupted&) {
    finish = Finish::interrupted;
  } catch (const NotToSave&) {
    throw;
  } catch (const std::exception&) {
    save_now(run, observer);
    throw;
  }
  if (run.iter > first || finish == Finish::interrupted) save_last(run, run.snapshot());
  observer.finish(run, finish);
  return finish;
}

}  // namespace folio

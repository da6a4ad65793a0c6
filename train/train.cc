#include "train/train.h"

#include "autograd/ops.h"
#include "core/process/stop.h"
#include "train/grad_norm.h"
#include "train/keep.h"
#include "train/schedule.h"

namespace folio {
namespace {

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
  void keep() {
    kept_ = true;
    ++run_.iter;
  }

 private:
  Run& run_;
  const Generator masks_, batches_;
  bool kept_ = false;
};

Step one_iteration(Run& run) {
  Iteration iteration(run);
  Step step{.iter = run.iter, .loss = accumulate_gradients(run)};
  check_finite(run, "loss", step.loss);
  step.grad_norm = update(run);
  iteration.keep();
  return step;
}

void run_to_the_end(Run& run, Observer& observer) {
  const TrainOptions& options = run.options;
  while (run.iter <= options.max_iters) {
    if (run.iter % options.eval_interval == 0) keep(run, evaluate(run, observer), observer);
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
  const double share = 1.0 / double(options.gradient_accumulation_steps);
  double mean = 0;
  for (int64_t micro = 0; micro < options.gradient_accumulation_steps; ++micro) {
    Batch batch = run.batches.next(options.batch_size, options.model.block_size,  // x, y: [B, T]
                                   run.model->context().device);
    Tensor loss = run.model->loss(batch.x, batch.y, share);
    loss.backward();
    mean += item(loss.array());
  }
  return mean;
}

double update(Run& run) {
  const TrainOptions& options = run.options;
  double norm = 0;
  Array clip;  // what every gradient is multiplied by
  if (options.grad_clip > 0 || run.iter % options.log_interval == 0) {
    Array l2 = grad_norm(*run.model);
    norm = item(l2);
    check_finite(run, "gradient's norm", norm);
    if (options.grad_clip > 0) clip = backend(l2)->optimizer.clip_scale(l2, options.grad_clip);
  }
  try {
    run.optimizer->step(learning_rate(run.iter, options), clip);
  } catch (const std::exception& error) {
    throw NotToSave(fmt::format("iteration {}: stopped in the middle of the update: {}. {}",
                                run.iter, error.what(), last_good_state(run)));
  }
  run.optimizer->zero_grad();
  return norm;
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
  if (run.iter > first || finish == Finish::interrupted) save_last(run);
  observer.finish(run, finish);
  return finish;
}

}  // namespace folio

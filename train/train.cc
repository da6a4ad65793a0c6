#include "train/train.h"

#include <cmath>

#include "autograd/ops.h"
#include "checkpoint/model_file.h"
#include "core/stop.h"
#include "train/schedule.h"

namespace folio {
namespace {

void evaluate_and_save(Run& run, Observer& observer) {
  const TrainOptions& options = run.options;
  Losses losses = estimate_loss(*run.model, run.data, options, run.iter);
  check(std::isfinite(losses.train) && std::isfinite(losses.val),
        "iteration {}: the estimated loss is not finite (train {}, val {}); {} keeps the state of "
        "the evaluation before. Try a lower learning_rate.",
        run.iter, losses.train, losses.val, last_checkpoint(options.out_dir).string());
  observer.evaluated(run, losses);
  bool better = losses.val < run.best_val_loss;
  if (better || options.always_save_checkpoint) run.best_val_loss = losses.val;
  if (run.iter == 0 || options.eval_only) return;  // nothing learned yet
  CheckpointFile state = run.snapshot();
  if (better || options.always_save_checkpoint) {
    save(best_checkpoint(options.out_dir), state);
    observer.saved(best_checkpoint(options.out_dir));
  }
  save(last_checkpoint(options.out_dir), state);
}

}  // namespace

double accumulate_gradients(Run& run) {
  const TrainOptions& options = run.options;
  double mean = 0;
  for (int64_t micro = 0; micro < options.gradient_accumulation_steps; ++micro) {
    Batch batch = run.batches.next(options.batch_size, options.block_size);
    Tensor loss =
        scale(run.model->loss(batch.x, batch.y), 1.0 / double(options.gradient_accumulation_steps));
    loss.backward();
    mean += item(loss.array());
  }
  return mean;
}

void update(Run& run) {
  const TrainOptions& options = run.options;
  Array clip;
  if (options.grad_clip > 0) {
    Array norm = run.optimizer->grad_norm();
    clip = backend(norm).clip_scale(norm, options.grad_clip);
  }
  run.optimizer->step(learning_rate(run.iter, options), clip);
  run.optimizer->zero_grad();
}

Finish train(Run& run, Observer& observer) {
  const TrainOptions& options = run.options;
  std::filesystem::create_directories(options.out_dir);
  observer.start(run);
  while (true) {
    if (run.iter % options.eval_interval == 0) evaluate_and_save(run, observer);
    if (options.eval_only) return Finish::done;

    double loss = accumulate_gradients(run);
    check(std::isfinite(loss),
          "iteration {}: the loss is {}; stopped before the update. {} keeps the last good state. "
          "Try a lower learning_rate.",
          run.iter, loss, last_checkpoint(options.out_dir).string());
    update(run);
    observer.stepped(run, loss);

    ++run.iter;
    bool finished = run.iter > options.max_iters;
    if (finished || stop_requested()) {
      save(last_checkpoint(options.out_dir), run.snapshot());
      observer.finish(run);
      return finished ? Finish::done : Finish::interrupted;
    }
  }
}

}  // namespace folio

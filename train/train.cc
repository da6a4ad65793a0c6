#include "train/train.h"

#include "autograd/ops.h"
#include "core/process/stop.h"
#include "train/keep.h"
#include "train/schedule.h"

namespace folio {
namespace {

// Unless it is kept, what the iteration did to the run is undone: its draws, its gradients and the
// count of an update that did nothing.
class Iteration {
 public:
  explicit Iteration(Run& run)
      : run_(run),
        masks_(run.model->context().random),
        batches_(run.batches.place()),
        updates_(run.optimizer->steps) {}
  ~Iteration() {
    if (kept_) return;
    run_.model->context().random = masks_;
    run_.batches.set_place(batches_);
    run_.optimizer->steps = updates_;
    run_.optimizer->zero_grad();
  }
  Iteration(const Iteration&) = delete;
  Iteration& operator=(const Iteration&) = delete;
  void keep() {
    kept_ = true;
    run_.optimizer->zero_grad();
    ++run_.iter;
  }

 private:
  Run& run_;
  const Generator masks_;
  const BatchSampler::Place batches_;
  const int64_t updates_;
  bool kept_ = false;
};

Finish run_to_the_end(Run& run, Observer& observer) {
  const TrainOptions& options = run.options;
  while (run.iter <= options.max_iters) {
    if (run.iter % options.eval_interval == 0) {
      keep(run, evaluate(run, observer), observer);
      if (out_of_patience(run)) return Finish::early_stop;
    }
    observer.stepped(run, train_step(run));
    if (take_save_request()) save_now(run, observer);
    throw_if_stopped();
  }
  return Finish::done;
}

// Before anything is written: an earlier run's files make room.
void take_folder(Run& run) {
  if (run.folder) return;
  run.folder = std::make_unique<RunFolder>(run.options.out_dir);
  if (auto aside = run.folder->set_earlier_run_aside())
    run.notes.push_back(fmt::format("moved the files of an earlier run to {}", aside->string()));
}

// As update(), which see, but the gradients stay.
Array apply_gradients(Run& run, const Array& losses) {
  const TrainOptions& options = run.options;
  Array norm = grad_norm(*run.model), clip;  // clip: what every gradient is multiplied by
  if (options.grad_clip > 0) clip = backend(norm)->optimizer.clip_scale(norm, options.grad_clip);
  std::vector<Array> figures{norm};
  if (losses.defined()) figures.push_back(losses);
  try {
    run.optimizer->step(rates(run.iter, options), clip, figures);
    if (run.average) run.average->update(run.optimizer->steps, figures);
  } catch (const std::exception& error) {
    throw NotToSave(fmt::format("iteration {}: stopped in the middle of the update: {}. {}",
                                run.iter, error.what(), last_good_state(run)));
  }
  return norm;
}

}  // namespace

Step train_step(Run& run) {
  Iteration iteration(run);
  const Array losses = accumulate_gradients(run), norm = apply_gradients(run, losses);
  Step step{.iter = run.iter};
  for (float loss : to_vector<float>(losses)) step.loss += double(loss);
  step.grad_norm = item(norm);
  check_finite(run, "loss", step.loss);
  check_finite(run, "gradient's norm", step.grad_norm);
  iteration.keep();
  return step;
}

Array accumulate_gradients(Run& run) {
  Interruptible scope;
  const TrainOptions& options = run.options;
  const Device device = run.model->context().device;
  const int64_t micros = options.gradient_accumulation_steps;
  Array losses({micros}, DType::f32, device);
  for (int64_t micro = 0; micro < micros; ++micro) {
    Batch batch = run.batches.next(options.batch_size, options.model.block_size, device);  // [B, T]
    Tensor loss = run.model->loss(batch.x, batch.y, 1.0 / double(micros));
    loss.backward();
    backend(losses)->layout.copy_block(loss.array().reshape({1}), 0, losses, micro, 1, 0);
  }
  return losses;
}

Array update(Run& run, const Array& losses) {
  Array norm = apply_gradients(run, losses);
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
    finish = run_to_the_end(run, observer);
  } catch (const Interrupted&) {
    finish = Finish::interrupted;
  } catch (const NotToSave&) {
    throw;
  } catch (const std::exception&) {
    save_now(run, observer);
    throw;
  }
  const bool saved = run.iter == first || run.saved_iter == run.iter;
  if (!saved || finish == Finish::interrupted) save_last(run);
  observer.finish(run, finish);
  return finish;
}

}  // namespace folio

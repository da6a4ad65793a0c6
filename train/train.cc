#include "train/train.h"

#include "autograd/ops.h"
#include "core/process/stop.h"
#include "train/keep.h"
#include "train/optimizer/schedule.h"
#include "train/ranks/step.h"
#include "train/ranks/together.h"

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

bool is_to_save(Run& run) {
  return run.ranks ? std::exchange(run.ranks->all_save, false) : take_save_request();
}

Finish run_to_the_end(Run& run, Observer& observer) {
  const TrainOptions& options = run.options;
  while (run.iter <= options.max_iters) {
    if (run.iter % options.eval_interval == 0) {
      keep(run, evaluate(run, observer), observer);
      if (out_of_patience(run)) return Finish::early_stop;
    }
    observer.stepped(run, train_step(run));
    if (is_to_save(run)) save_now(run, observer);
    if (!run.ranks) throw_if_stopped();  // ranks stop together, in a step
  }
  return Finish::done;
}

// Before anything is written: an earlier run's files make room.
void take_folder(Run& run) {
  if (run.folder || (run.ranks && run.ranks->rank() > 0)) return;
  run.folder = std::make_unique<RunFolder>(run.options.out_dir);
  if (auto aside = run.folder->set_earlier_run_aside())
    run.notes.push_back(fmt::format("moved the files of an earlier run to {}", aside->string()));
}

}  // namespace

Step train_step(Run& run) {
  Iteration iteration(run);
  Step step{.iter = run.iter};
  if (run.ranks) {
    step = step_of_ranks(run);
  } else {
    const Array losses = accumulate_gradients(run), norm = grad_norm(*run.model);
    apply_gradients(run, norm, {norm, losses});
    for (float loss : to_vector<float>(losses)) step.loss += double(loss);
    step.grad_norm = item(norm);
  }
  check_finite(run, "loss", step.loss);
  check_finite(run, "gradient's norm", step.grad_norm);
  iteration.keep();
  return step;
}

Array accumulate_gradients(Run& run) {
  Interruptible scope;
  const TrainOptions& options = run.options;
  DataParallel* ranks = run.ranks.get();
  const Device device = run.model->context().device;
  const int64_t micros = options.gradient_accumulation_steps, B = options.batch_size,
                T = options.model.block_size;
  Array losses({micros}, DType::f32, device);
  if (ranks) backend(losses)->elementwise.fill(losses, 0);  // other ranks' micro-batches
  for (int64_t micro = 0; micro < micros; ++micro) {
    if (ranks && !ranks->has(micro)) {  // another draws these sequences and masks
      run.batches.skip(B, T);
      run.model->context().random.drawn += ranks->draws_of_a_pass();
      continue;
    }
    if (ranks && micro + ranks->size() >= micros) ranks->send_from_now_on();
    Batch batch = run.batches.next(B, T, device);  // [B, T]
    Tensor loss = run.model->loss(batch.x, batch.y, 1.0 / double(micros));
    loss.backward();
    backend(losses)->layout.copy_block(loss.array().reshape({1}), 0, losses, micro, 1, 0);
  }
  return losses;
}

void apply_gradients(Run& run, const Array& norm, const std::vector<Array>& figures) {
  const TrainOptions& options = run.options;
  Array clip;  // what every gradient is multiplied by
  if (options.grad_clip > 0) clip = backend(norm)->optimizer.clip_scale(norm, options.grad_clip);
  try {
    run.optimizer->step(rates(run.iter, options), clip, figures);
    if (run.ranks) run.ranks->gather_parameters();
    if (run.average) run.average->update(run.optimizer->steps, figures);
  } catch (const std::exception& error) {
    throw NotToSave(fmt::format("iteration {}: stopped in the middle of the update: {}. {}",
                                run.iter, error.what(), last_good_state(run)));
  }
}

Array update(Run& run, const Array& losses) {
  Array norm = grad_norm(*run.model);
  std::vector<Array> figures{norm};
  if (losses.defined()) figures.push_back(losses);
  apply_gradients(run, norm, figures);
  run.optimizer->zero_grad();
  return norm;
}

Finish train(Run& run, Observer& observer) {
  if (!run.ranks) throw_if_stopped();
  if (run.options.eval_only) {
    observer.start(run);
    evaluate(run, observer);
    return Finish::done;
  }
  together(run.ranks ? &run.ranks->ranks() : nullptr, [&] { take_folder(run); });
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
    if (!run.ranks) save_now(run, observer);  // the other ranks may know nothing of it
    throw;
  }
  const bool saved = run.iter == first || run.saved_iter == run.iter;
  if (!saved || finish == Finish::interrupted) save_last(run);
  observer.finish(run, finish);
  return finish;
}

}  // namespace folio

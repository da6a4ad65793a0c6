#include "train/ranks/step.h"

#include <cmath>

#include "core/process/stop.h"
#include "train/train.h"

namespace folio {
namespace {

// What each rank says of its part of an iteration, in one row of numbers on the device: the share
// of the norm, NaN from one that was asked to stop, so that no rank's update does anything then;
// whether it was asked to stop, and to save; its micro-batches' losses, among zeros.
constexpr int64_t norm_column = 0, stop_column = 1, save_column = 2, loss_columns = 3;

Array row_of_this_rank(Run& run) {
  DataParallel& ranks = *run.ranks;
  const int64_t micros = run.options.gradient_accumulation_steps;
  std::vector<float> row(size_t(loss_columns + micros));
  Array losses;
  ranks.begin();
  try {
    throw_if_stopped();
    losses = accumulate_gradients(run);
  } catch (const Interrupted&) {
    row[norm_column] = NAN;
    row[stop_column] = 1;
  }
  ranks.finish_gradients(losses.defined());
  row[save_column] = take_save_request();
  Array on_device = to_array(row, {int64_t(row.size())}, run.model->context().device);
  if (!losses.defined()) return on_device;
  const Array share = ranks.share_of_norm().reshape({1});
  backend(share)->layout.copy_block(share, 0, on_device, norm_column, 1, 0);
  backend(losses)->layout.copy_block(losses, 0, on_device, loss_columns, micros, 0);
  return on_device;
}

}  // namespace

Step step_of_ranks(Run& run) {
  DataParallel& ranks = *run.ranks;
  const Array rows = ranks.gather(row_of_this_rank(run));  // [size, columns]
  Array shares({ranks.size(), 1}, DType::f32, rows.device());
  backend(rows)->layout.copy_block(rows, norm_column, shares, 0, 1, 1);
  const Array norm = backend(shares)->optimizer.norm(std::vector{shares});
  apply_gradients(run, norm, {norm, rows});
  Step step{.iter = run.iter, .grad_norm = item(norm), .waited = ranks.waited()};
  const std::vector<float> values = to_vector<float>(rows);
  const int64_t columns = rows.dim(1);
  auto sum = [&](int64_t column) {
    double sum = 0;
    for (int64_t rank = 0; rank < ranks.size(); ++rank)
      sum += double(values[size_t(rank * columns + column)]);
    return sum;
  };
  if (sum(stop_column) > 0) DataParallel::stop_with_others();
  for (int64_t column = loss_columns; column < columns; ++column) step.loss += sum(column);
  run.ranks->all_save = sum(save_column) > 0;
  return step;
}

}  // namespace folio

#include "train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/process/stop.h"
#include "train/ranks/data_parallel.h"

namespace folio {
namespace {

// Dropout off, as model.eval() in PyTorch.
class Evaluating {
 public:
  explicit Evaluating(Gpt& model) : context_(model.context()), training_(context_.training) {
    context_.training = false;
  }
  ~Evaluating() { context_.training = training_; }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  NoGrad no_grad_;
  Context& context_;
  bool training_;
};

// Mean over the targets that are not -1.
double loss_of(Gpt& model, const Batch& batch) {
  return item(model.loss(batch.x, batch.y).array());
}

// The losses of a split's batches, those of other ranks 0.
std::vector<double> batch_losses(Gpt& model, const TokenFile& tokens, const TrainOptions& options,
                                 uint64_t draw, DataParallel* ranks) {
  BatchSampler sampler(tokens, Generator{uint64_t(options.seed) ^ 0x6576616c75617465, draw << 32});
  Interruptible scope;
  const int64_t B = options.batch_size, T = options.model.block_size;
  std::vector<double> losses;
  for (int64_t i = 0; i < options.eval_iters; ++i) {
    const bool mine = !ranks || ranks->has(i);
    if (!mine) sampler.skip(B, T);
    losses.push_back(mine ? loss_of(model, sampler.next(B, T, model.context().device)) : 0);
  }
  return losses;
}

// Windows of equal length whose starts are `stride` apart; the tokens that precede `fresh` in the
// split are context: their targets are -1.
struct Windows {
  int64_t first, rows, length, stride, fresh;
};

Batch batch_of(const TokenFile& tokens, const Windows& w, Gpt& model) {
  std::vector<int32_t> ids(size_t((w.rows - 1) * w.stride + w.length + 1)), x, y;
  tokens.read(w.first, ids);
  for (int64_t row = 0, fresh = w.fresh; row < w.rows; ++row) {
    int64_t begin = w.first + row * w.stride;
    for (int64_t t = 0; t < w.length; ++t) {
      x.push_back(ids[size_t(row * w.stride + t)]);
      y.push_back(begin + t < fresh ? -1 : ids[size_t(row * w.stride + t + 1)]);
    }
    fresh = begin + w.length;
  }
  const Shape shape{w.rows, w.length};
  const int64_t V = model.config().vocab_size;
  const Device device = model.context().device;
  return {token_ids(x, shape, V, device, tokens.path()),
          target_ids(y, shape, V, device, tokens.path())};
}

}  // namespace

Losses estimate_loss(Gpt& model, const Dataset& data, const TrainOptions& options, int64_t iter,
                     DataParallel* ranks) {
  Evaluating scope(model);
  const auto draw = uint64_t(iter) * 2;
  const auto n = size_t(options.eval_iters);
  auto of_both_splits = [&] {
    std::vector<double> losses = batch_losses(model, data.train, options, draw, ranks);
    std::ranges::copy(batch_losses(model, data.val, options, draw + 1, ranks),
                      std::back_inserter(losses));
    return losses;
  };
  const std::vector<double> losses =
      ranks ? ranks->sum_of_shares(2 * n, of_both_splits) : of_both_splits();
  auto mean = [&](size_t begin) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += losses[begin + i];
    return sum / double(n);
  };
  return {mean(0), mean(n)};
}

double perplexity(const SplitLoss& split) { return std::exp(split.loss); }

SplitLoss whole_split_loss(Gpt& model, const TokenFile& tokens, int64_t batch_size,
                           int64_t stride) {
  Evaluating evaluating(model);
  Interruptible scope;
  int64_t T = model.config().block_size;
  if (stride == 0) stride = T;
  check(stride > 0 && stride <= T,
        "stride {} is not between 1 and the model's block_size {}: tokens would be left out",
        stride, T);
  SplitLoss total{.loss = 0, .tokens = tokens.size() - 1};
  check(total.tokens > 0, "{}: needs two tokens or more to have a loss", tokens.path());
  for (int64_t first = 0, done = 0; done < total.tokens;) {
    throw_if_stopped();
    int64_t left = total.tokens - first;
    int64_t whole = left < T ? 1 : (left - T) / stride + 1;
    int64_t rows = std::min(whole, batch_size), length = std::min(T, left);
    double mean = loss_of(model, batch_of(tokens, {first, rows, length, stride, done}, model));
    int64_t end = first + (rows - 1) * stride + length;
    check(std::isfinite(mean),
          "{}: the model's loss on tokens {} to {} is {}; a weight is NaN or far too large: its "
          "training diverged, or its file is damaged",
          tokens.path(), done + 1, end, mean);
    total.loss += mean * double(end - done);
    done = end;
    first += rows * stride;
  }
  check_mapped_files();  // the weights may lie in one
  total.loss /= double(total.tokens);
  return total;
}

}  // namespace folio

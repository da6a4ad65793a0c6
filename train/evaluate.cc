#include "train/evaluate.h"

#include <algorithm>

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

double mean_loss(Gpt& model, const TokenFile& tokens, const TrainOptions& options, uint64_t draw) {
  BatchSampler sampler(tokens, Generator{uint64_t(options.seed) ^ 0x6576616c75617465, draw << 32});
  double sum = 0;
  for (int64_t i = 0; i < options.eval_iters; ++i) {
    Batch batch = sampler.next(options.batch_size, options.block_size);
    sum += item(model.loss(batch.x, batch.y).array());
  }
  return sum / double(options.eval_iters);
}

// `rows` windows of T tokens that start at `first`.
Batch windows(const TokenFile& tokens, int64_t first, int64_t rows, int64_t T) {
  std::vector<int32_t> ids(size_t(rows * T + 1));
  tokens.read(first, ids);
  std::span<const int32_t> all(ids);
  return {to_array(all.first(ids.size() - 1), {rows, T}), to_array(all.subspan(1), {rows, T})};
}

}  // namespace

Losses estimate_loss(Gpt& model, const Dataset& data, const TrainOptions& options, int64_t iter) {
  Evaluating scope(model);
  auto draw = uint64_t(iter) * 2;
  return {mean_loss(model, data.train, options, draw),
          mean_loss(model, data.val, options, draw + 1)};
}

SplitLoss whole_split_loss(Gpt& model, const TokenFile& tokens, int64_t batch_size) {
  Evaluating scope(model);
  int64_t T = model.config().block_size;
  SplitLoss total{.loss = 0, .tokens = tokens.size() - 1};
  check(total.tokens > 0, "{}: needs two tokens or more to have a loss", tokens.path());
  for (int64_t at = 0; at < total.tokens;) {
    int64_t left = total.tokens - at;
    int64_t length = std::min(T, left);
    int64_t rows = std::clamp<int64_t>(left / T, 1, batch_size);
    Batch batch = windows(tokens, at, rows, length);
    total.loss += item(model.loss(batch.x, batch.y).array()) * double(rows * length);
    at += rows * length;
  }
  total.loss /= double(total.tokens);
  return total;
}

}  // namespace folio

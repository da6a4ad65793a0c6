#include "train/check_fits.h"

#include <algorithm>

#include "core/process/memory_limit.h"
#include "core/text/numbers.h"

namespace folio {
namespace {

// In double, where no product of sizes overflows.
double parameters(const GptConfig& c) {
  const double C = double(c.n_embd), F = double(c.hidden());
  const double tokens = double(c.vocab_size) * (c.tie_weights ? 1 : 2);
  const double positions = c.position == "learned" ? double(c.block_size) : 0;
  const double attention = double(c.heads().columns() + c.heads().channels()) * C;
  const double mlp = (c.activation.is_gated ? 3 : 2) * F * C;
  return (tokens + positions) * C + double(c.n_layer) * (attention + mlp);
}

// What a token leaves for backward: in each block two sums of the residual stream, queries, keys
// and values [3C], what attention gave [C] and the MLP before its activation [4C], of whatever
// width these are; with `recompute` the block's input alone.
double activations(const GptConfig& c, const TrainOptions& o) {
  double C = double(c.n_embd), wide = 4;
  double narrow = double(size_of(dtype_named(o.dtype)));
  const double mlp = (c.activation.is_gated ? 2 : 1) * double(c.hidden());
  const double rows = double(c.heads().columns() + c.heads().channels()) + mlp;
  double block = o.recompute ? wide * C : 2 * wide * C + narrow * rows;
  return double(o.batch_size) * double(o.model.block_size) * double(c.n_layer) * block;
}

// Weights and, to train them, gradients, both moments (Muon's matrices have one), their average.
// Ranks may share the moments out.
double state(const GptConfig& c, const TrainOptions& o, int ranks) {
  if (o.eval_only) return 4 * parameters(c);
  const double hidden = double(c.n_layer) * 12 * double(c.n_embd) * double(c.n_embd);
  const double moments = 8 * parameters(c) - (o.optimizer == "muon" ? 4 * hidden : 0);
  const bool shared = ranks > 1 && o.zero_stage > 0;
  return (4 + 4 + (o.ema > 0 ? 4 : 0)) * parameters(c) + (shared ? moments / ranks : moments);
}

}  // namespace

double training_bytes(const GptConfig& model, const TrainOptions& options, int ranks) {
  double all = state(model, options, ranks);
  if (options.eval_only) return all;
  double batch = activations(model, options), gradients = 4 * parameters(model);
  // Unless earlier micro-batches left some, gradients come as the activations go.
  bool together = options.gradient_accumulation_steps > 1 || ranks > 1;
  return all + batch - (together ? 0 : std::min(batch, gradients));
}

void check_fits(const GptConfig& model, const TrainOptions& options, int ranks) {
  std::string what =
      fmt::format("n_layer={}, n_embd={} and a vocabulary of {}: {:.2f}M parameters take {}",
                  model.n_layer, model.n_embd, model.vocab_size, parameters(model) / 1e6,
                  in_megabytes(state(model, options, ranks)));
  if (!options.eval_only)
    what += fmt::format(" in training, batch_size={} of block_size={} tokens {}; together they",
                        options.batch_size, options.model.block_size,
                        in_megabytes(activations(model, options)));
  const Device device = device_named(options.device);
  double held = double(backend(device)->memory.use().live);
  check_memory(device, std::max(0.0, training_bytes(model, options, ranks) - held), what,
               "make one of them smaller, or try --dtype=bfloat16 or --recompute=true");
}

}  // namespace folio

#include "nn/gpt.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"

namespace folio {
namespace {

GptConfig checked(const GptConfig& c) {
  check(c.block_size > 0 && c.vocab_size > 0 && c.n_layer > 0 && c.n_head > 0 && c.n_embd > 0,
        "a GPT needs positive sizes; got block_size {}, vocab_size {}, n_layer {}, n_head {}, "
        "n_embd {}",
        c.block_size, c.vocab_size, c.n_layer, c.n_head, c.n_embd);
  double C = double(c.n_embd), longest = double(std::max({c.vocab_size, c.block_size, c.n_layer}));
  check(12 * C * std::max(C, longest) < 0x1p60,
        "a GPT of n_embd {}, vocab_size {}, block_size {} and n_layer {} has more numbers than can "
        "be counted",
        c.n_embd, c.vocab_size, c.block_size, c.n_layer);
  check(c.n_embd % c.n_head == 0, "n_embd {} is not divisible by n_head {}", c.n_embd, c.n_head);
  check(c.dropout >= 0 && c.dropout < 1, "dropout must be in [0, 1), got {}", c.dropout);
  return c;
}

}  // namespace

Gpt::Gpt(const GptConfig& config, Device device)
    : config_(checked(config)),
      context_{.device = device, .dropout = config.dropout, .random = {}},
      ln_f_(context_, config.n_embd, config.bias) {
  add("transformer.wte.weight", wte_, {config.vocab_size, config.n_embd});
  add("transformer.wpe.weight", wpe_, {config.block_size, config.n_embd});
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    h_.push_back(std::make_unique<Block>(context_, config, layer));
    add(fmt::format("transformer.h.{}", layer), *h_.back());
  }
  add("transformer.ln_f", ln_f_);
}

Gpt::Gpt(const GptConfig& config, Device device, uint64_t seed) : Gpt(config, device) {
  context_.random = {seed};
  double residual_std = 0.02 / std::sqrt(2.0 * double(config.n_layer));
  parameters([&](const std::string& name, Parameter& parameter) {
    if (parameter.shape().rank() != 2) return;
    Array values(parameter.shape(), parameter.dtype(), device);
    backend(values)->random.normal(values, 0, name.ends_with("c_proj.weight") ? residual_std : 0.02,
                                   context_.random.next());
    parameter = Parameter::leaf(values);
  });
}

Tensor Gpt::operator()(const Array& tokens, KvCache* cache, bool last_only) {
  return head(blocks(embed(tokens, cache), cache, last_only));
}

Tensor Gpt::loss(const Array& tokens, const Array& targets, double factor) {
  Residual x = blocks(embed(tokens));
  if (context_.is_plain()) return scale(cross_entropy(head(x), targets), factor);
  return linear_cross_entropy(ln_f_(x), wte_, targets, factor);
}

Tensor Gpt::embed(const Array& tokens, const KvCache* cache) {
  check_tokens(tokens, cache);
  Array first_positions;
  if (cache) first_positions = cache->positions();
  Tensor x = embedding(tokens, wte_, wpe_, context_.residual_dtype(), first_positions);
  return context_.watch("embedding", add_dropout({}, x, context_.next_dropout()));
}

Residual Gpt::blocks(Residual x, KvCache* cache, bool last_only) {
  const int64_t T = x.value().dim(1);
  if (cache) cache->check_room(T);
  const bool recompute = context_.recompute && !context_.watcher && !NoGrad::active();
  for (const auto& block : h_) {
    const bool is_last = block == h_.back();
    if (recompute)
      x = recomputed(*block, x.value());
    else
      (*block)(x, cache, last_only && is_last);
  }
  if (cache) cache->advance(T);
  return x;
}

Tensor Gpt::head(Residual x) {
  Tensor normed = context_.watch("ln_f", ln_f_(x));
  return context_.watch("logits", linear(normed, wte_, {}));
}

// block(x), of which x alone is kept until backward, where the block runs again.
Tensor Gpt::recomputed(const Block& block, const Tensor& x) {
  // The second run draws the masks of the first: it starts from the same state of the generator.
  auto run = [this, &block, before = context_.random](const Tensor& input) {
    Generator now = std::exchange(context_.random, before);
    Residual x = input;
    block(x, nullptr);
    context_.random.drawn = std::max(context_.random.drawn, now.drawn);
    return x.value();
  };
  return recompute(run, x);
}

void Gpt::check_tokens(const Array& tokens, const KvCache* cache) const {
  check(tokens.shape().rank() == 2 && tokens.dim(1) > 0, "a GPT reads tokens [B, T], got {}",
        tokens.shape());
  const int64_t past = cache ? cache->length() : 0;
  check(past + tokens.dim(1) <= config_.block_size,
        "cannot read {} tokens after {}: block_size is {}", tokens.dim(1), past,
        config_.block_size);
  check(!cache || NoGrad::active(), "the KV cache is for inference: open a NoGrad scope first");
}

void Gpt::crop_block_size(int64_t block_size) {
  check(block_size > 0 && block_size <= config_.block_size,
        "crop_block_size: {} is not between 1 and the model's block_size {}", block_size,
        config_.block_size);
  config_.block_size = block_size;
  Array kept = wpe_.array().slice(0, block_size);
  wpe_ = Tensor::leaf(backend(kept)->elementwise.cast(kept, kept.dtype()));
}

int64_t Gpt::num_params(bool non_embedding) {
  int64_t total = non_embedding ? -wpe_.array().size() : 0;
  parameters([&](const std::string&, Parameter& parameter) { total += parameter.array().size(); });
  return total;
}

double Gpt::training_flops_per_token() {
  double matrices = double(config_.vocab_size * config_.n_embd);  // the head; a lookup is free
  parameters([&](const std::string& name, Parameter& parameter) {
    bool matrix = parameter.shape().rank() == 2 && name.find(".h.") != std::string::npos;
    if (matrix) matrices += double(parameter.array().size());
  });
  double attention = double(config_.n_layer * config_.n_embd * config_.block_size);
  return 6 * (matrices + attention);  // scores and values: T C / 2 each a token
}

KvCache Gpt::make_cache(int64_t B, int64_t capacity, std::optional<DType> dtype) const {
  int64_t fits = std::min(capacity, config_.block_size);
  return {B,
          fits,
          config_.n_layer,
          config_.n_embd,
          config_.n_head,
          dtype.value_or(context_.dtype),
          context_.device};
}

}  // namespace folio

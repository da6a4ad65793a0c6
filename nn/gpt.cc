#include "nn/gpt.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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
      wte_(config.vocab_size, config.n_embd),
      wpe_(config.block_size, config.n_embd),
      ln_f_(context_, config.n_embd, config.bias) {
  add("transformer.wte", wte_);
  add("transformer.wpe", wpe_);
  for (int64_t i = 0; i < config.n_layer; ++i) {
    h_.push_back(std::make_unique<Block>(context_, config.n_embd, config.n_head, config.activation,
                                         config.bias));
    add(fmt::format("transformer.h.{}", i), *h_.back());
  }
  add("transformer.ln_f", ln_f_);
}

Gpt::Gpt(const GptConfig& config, Device device, uint64_t seed) : Gpt(config, device) {
  context_.random = {seed};
  double residual_std = 0.02 / std::sqrt(2.0 * double(config.n_layer));
  parameters([&](const std::string& name, Parameter& parameter) {
    if (parameter.shape().rank() != 2) return;
    Array values(parameter.shape(), parameter.dtype(), device);
    backend(values).random_normal(values, 0, name.ends_with("c_proj.weight") ? residual_std : 0.02,
                                  context_.random.next());
    parameter = Parameter::leaf(values);
  });
}

// The tokens' rows of a packed head are what its matrix holds; of an f32 one, wte's own.
Tensor Gpt::embedded(const Array& tokens, std::span<const int64_t> positions) {
  DType dtype = context_.residual_dtype();
  if (!lm_head_.defined() || !NoGrad::active())
    return embedding(tokens, wte_.weight, wpe_.weight, dtype, positions);
  std::vector<int32_t> places(size_t(tokens.size()));
  std::iota(places.begin(), places.end(), 0);
  Tensor rows = Tensor(backend(tokens).unpack_rows(lm_head_, tokens));
  return embedding(to_array(places, tokens.shape(), tokens.device()), rows, wpe_.weight, dtype,
                   positions);
}

void Gpt::check_weights() const {
  check(wte_.weight.defined() || lm_head_.defined(),
        "a GPT's forward pass needs weights, but they have neither been drawn nor loaded");
  check(wte_.weight.defined() || NoGrad::active(),
        "this model holds {} weights for inference alone: open a NoGrad scope, or load the model "
        "that they were made from",
        lm_head_.format);
}

Tensor Gpt::trunk(const Array& tokens, KvCache* cache, bool last_only) {
  check(tokens.shape().rank() == 2 && tokens.dim(1) > 0, "a GPT reads tokens [B, T], got {}",
        tokens.shape());
  int64_t past = cache ? cache->length() : 0;
  check(past + tokens.dim(1) <= config_.block_size,
        "cannot read {} tokens after {}: block_size is {}", tokens.dim(1), past,
        config_.block_size);
  check(!cache || NoGrad::active(), "the KV cache is for inference: open a NoGrad scope first");
  check(!last_only || NoGrad::active(), "last_only is for inference: open a NoGrad scope first");
  std::span<const int64_t> positions;
  if (cache) positions = cache->lengths;
  Tensor x = embedded(tokens, positions);
  x = add_dropout({}, x, context_.next_dropout());
  for (size_t i = 0; i < h_.size(); ++i) {
    bool as_function = context_.recompute && !NoGrad::active();
    x = as_function ? recomputed(*h_[i], x)
                    : (*h_[i])(x, cache, int(i), last_only && i + 1 == h_.size());
  }
  if (cache) cache->advance(tokens.dim(1));
  return ln_f_(x);
}

Tensor Gpt::recomputed(const Block& block, const Tensor& x) {
  // The second run draws the masks of the first: it starts from the same state of the generator.
  auto run = [this, &block, before = context_.random](const Tensor& input) {
    Generator now = std::exchange(context_.random, before);
    Tensor y = block(input, nullptr, 0);
    context_.random.drawn = std::max(context_.random.drawn, now.drawn);
    return y;
  };
  return recompute(run, x);
}

Tensor Gpt::operator()(const Array& tokens, KvCache* cache, bool last_only) {
  check_weights();
  Tensor x = trunk(tokens, cache, last_only);
  if (lm_head_.defined() && NoGrad::active())
    return backend(x.array()).linear_packed(x.array(), lm_head_, {});
  return linear(x, cast(wte_.weight, context_.dtype), {});
}

Tensor Gpt::loss(const Array& tokens, const Array& targets) {
  check_weights();
  if (lm_head_.defined() && NoGrad::active()) {
    Array x = trunk(tokens, nullptr, false).array();
    return backend(x).linear_cross_entropy(x, lm_head_, targets);
  }
  return linear_cross_entropy(trunk(tokens, nullptr, false), cast(wte_.weight, context_.dtype),
                              targets);
}

void Gpt::packed_weights(const PackedVisitor& visit, const std::string& prefix) {
  visit(prefix + "transformer.wte.weight", wte_.weight, lm_head_);
  Module::packed_weights(visit, prefix);
}

void Gpt::crop_block_size(int64_t block_size) {
  check(block_size > 0 && block_size <= config_.block_size,
        "crop_block_size: {} is not between 1 and the model's block_size {}", block_size,
        config_.block_size);
  config_.block_size = block_size;
  Array kept = wpe_.weight.array().slice(0, block_size);
  wpe_.weight = Tensor::leaf(backend(kept).cast(kept, kept.dtype()));
}

int64_t Gpt::num_params(bool non_embedding) {
  int64_t total = non_embedding ? -wpe_.weight.array().size() : 0;
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
  return 6 * (matrices + attention);  // scores and values: 2 T C / 2 multiply-adds each a token
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

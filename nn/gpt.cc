#include "nn/gpt.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"

namespace folio {
namespace {

void check_heads(const GptConfig& c) {
  check(c.head_dim >= 0 && c.n_kv_head >= 0 && c.attention_window >= 0,
        "head_dim, n_kv_head and attention_window are at least 0; got {}, {} and {}", c.head_dim,
        c.n_kv_head, c.attention_window);
  check(c.head_dim > 0 || c.n_embd % c.n_head == 0, "n_embd {} is not divisible by n_head {}",
        c.n_embd, c.n_head);
  check(double(c.head_dim) * double(c.n_head) * double(c.n_embd) < 0x1p50,
        "{} heads of {} cannot be", c.n_head, c.head_dim);
  const Heads heads = c.heads();
  check(heads.n_head % heads.n_kv_head == 0, "n_head {} is not divisible by n_kv_head {}",
        heads.n_head, heads.n_kv_head);
  check(c.position != "rotary" || heads.width % 2 == 0,
        "rotary positions turn pairs of elements, but a head has {}: give it an even head_dim",
        heads.width);
}

void check_names(const GptConfig& c) {
  auto check_name = [](const char* field, const std::string& name,
                       std::initializer_list<std::string_view> known) {
    check(std::ranges::count(known, name) == 1, "{} \"{}\" is not one of {}", field, name,
          fmt::join(known, ", "));
  };
  check_name("position", c.position, {"learned", "rotary", "none"});
  check_name("norm", c.norm, {"layer", "rms"});
  check_name("qk_norm", c.qk_norm, {"off", "rms", "rms_learned"});
  check_name("residual_init", c.residual_init, {"scaled", "zero"});
}

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
  check(c.dropout >= 0 && c.dropout < 1, "dropout must be in [0, 1), got {}", c.dropout);
  check_heads(c);
  check_names(c);
  check(c.ffn_hidden >= 0 && double(c.ffn_hidden) * C < 0x1p50, "ffn_hidden {} cannot be",
        c.ffn_hidden);
  check(c.rope_theta > 0 && c.norm_eps >= 0 && c.logit_softcap >= 0,
        "rope_theta must be above 0, norm_eps and logit_softcap at least 0; got {}, {} and {}",
        c.rope_theta, c.norm_eps, c.logit_softcap);
  check(c.rope_factor >= 1 && c.rope_low_freq_factor > 0 &&
            c.rope_high_freq_factor > c.rope_low_freq_factor && c.rope_original_context > 0,
        "rope_factor must be at least 1, rope_low_freq_factor above 0, rope_high_freq_factor above "
        "that, and rope_original_context positive; got {}, {}, {} and {}",
        c.rope_factor, c.rope_low_freq_factor, c.rope_high_freq_factor, c.rope_original_context);
  return c;
}

}  // namespace

Gpt::Gpt(const GptConfig& config, Device device)
    : config_(checked(config)),
      context_{.device = device, .dropout = config.dropout, .random = {}},
      ln_f_(context_, config) {
  add("transformer.wte.weight", wte_, {config.vocab_size, config.n_embd});
  if (learns_positions()) add("transformer.wpe.weight", wpe_, {config.block_size, config.n_embd});
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    h_.push_back(std::make_unique<Block>(context_, config, layer));
    add(fmt::format("transformer.h.{}", layer), *h_.back());
  }
  add("transformer.ln_f", ln_f_);
  if (!config.tie_weights) add("lm_head.weight", lm_head_, {config.vocab_size, config.n_embd});
}

Gpt::Gpt(const GptConfig& config, Device device, uint64_t seed) : Gpt(config, device) {
  context_.random = {seed};
  const bool from_zero = config.residual_init == "zero";
  const double residual_std = from_zero ? 0 : 0.02 / std::sqrt(2.0 * double(config.n_layer));
  parameters([&](const std::string& name, Parameter& parameter) {
    if (parameter.shape().rank() != 2) return;
    Array values(parameter.shape(), parameter.dtype(), device);
    backend(values)->random.normal(values, 0, name.ends_with("c_proj.weight") ? residual_std : 0.02,
                                   context_.random.next());
    parameter = Parameter::leaf(values);
  });
}

Tensor Gpt::operator()(const Array& tokens, KvCache* cache, bool last_only) {
  if (cache && tokens.shape().rank() == 2 && tokens.dim(1) > cache->most_new())
    return in_parts(tokens, *cache, last_only);
  return head(blocks(embed(tokens, cache), cache, last_only));
}

Tensor Gpt::in_parts(const Array& tokens, KvCache& cache, bool last_only) {
  std::vector<Tensor> logits;
  for (int64_t begin = 0, T = tokens.dim(1); begin < T; begin += cache.most_new()) {
    const int64_t n = std::min(cache.most_new(), T - begin);
    Array part({tokens.dim(0), n}, DType::i32, tokens.device());
    backend(tokens)->layout.copy_block(tokens, begin, part, 0, n, 1);
    if (tokens.id_range()) part.set_id_range(*tokens.id_range());
    Tensor x = head(blocks(embed(part, &cache), &cache, last_only));
    if (last_only) logits.clear();
    logits.push_back(std::move(x));
  }
  return logits.size() == 1 ? logits[0] : concat(logits, 1);
}

Tensor Gpt::loss(const Array& tokens, const Array& targets, double factor, KvCache* cache) {
  Residual x = blocks(embed(tokens, cache), cache);
  if (context_.is_plain()) return scale(cross_entropy(head(x), targets), factor);
  return linear_cross_entropy(ln_f_(x), head_weight(), targets, factor, config_.logit_softcap);
}

Tensor Gpt::embed(const Array& tokens, const KvCache* cache) {
  check_tokens(tokens, cache);
  Array first_positions;
  if (cache && learns_positions()) first_positions = cache->positions();
  Tensor x = embedding(tokens, wte_, wpe_, context_.residual_dtype(), first_positions);
  return context_.watch("embedding", add_dropout({}, x, context_.next_dropout()));
}

Residual Gpt::blocks(Residual x, KvCache* cache, bool last_only) {
  const int64_t T = x.value().dim(1);
  if (cache) cache->check_room(T);
  const Array turns = rotations(T, cache);
  const bool recompute = context_.recompute && !context_.watcher && !NoGrad::active();
  for (const auto& block : h_) {
    const bool is_last = block == h_.back();
    if (recompute)
      x = recomputed(*block, turns, x.value());
    else
      (*block)(x, turns, cache, last_only && is_last);
  }
  if (cache) cache->advance(T);
  return x;
}

Tensor Gpt::head(Residual x) {
  Tensor normed = context_.watch("ln_f", ln_f_(x));
  Tensor logits = linear(normed, head_weight(), {});
  if (config_.logit_softcap > 0) logits = softcap(logits, config_.logit_softcap);
  return context_.watch("logits", logits);
}

Array Gpt::rotations(int64_t T, const KvCache* cache) const {
  if (config_.position != "rotary") return {};
  const Array positions = cache ? cache->positions() : Array{};
  return backend(context_.device)
      ->rotary.table(positions, T, config_.heads().width, config_.rope(),
                     context_.residual_dtype());
}

// block(x), of which x alone is kept until backward, where the block runs again.
Tensor Gpt::recomputed(const Block& block, const Array& turns, const Tensor& x) {
  // The second run draws the masks of the first: it starts from the same state of the generator.
  auto run = [this, &block, turns, before = context_.random](const Tensor& input) {
    Generator now = std::exchange(context_.random, before);
    Residual x = input;
    block(x, turns, nullptr);
    context_.random.drawn = std::max(context_.random.drawn, now.drawn);
    return x.value();
  };
  return recompute(run, x);
}

void Gpt::check_tokens(const Array& tokens, const KvCache* cache) const {
  check(tokens.shape().rank() == 2 && tokens.dim(1) > 0, "a GPT reads tokens [B, T], got {}",
        tokens.shape());
  const int64_t past = cache ? cache->length() : 0;
  check(!learns_positions() || past + tokens.dim(1) <= config_.block_size,
        "cannot read {} tokens after {}: block_size is {}", tokens.dim(1), past,
        config_.block_size);
  check(!cache || NoGrad::active(), "the KV cache is for inference: open a NoGrad scope first");
}

void Gpt::crop_block_size(int64_t block_size) {
  check(block_size > 0 && block_size <= config_.block_size,
        "crop_block_size: {} is not between 1 and the model's block_size {}", block_size,
        config_.block_size);
  config_.block_size = block_size;
  if (!learns_positions()) return;
  Array kept = wpe_.array().slice(0, block_size);
  wpe_ = Tensor::leaf(backend(kept)->elementwise.cast(kept, kept.dtype()));
}

void Gpt::set_attention_window(int64_t window) {
  check(config_.position == "rotary",
        "a window of {}: only rotary positions can be given one, and this model has position={}; "
        "leave the window out",
        window, config_.position);
  check(config_.attention_window == 0,
        "a window of {}: the model was trained with one of {} and keeps it; leave the other out",
        window, config_.attention_window);
  check(window > 0 && window <= config_.block_size,
        "a window of {}: it can be 1 to {}, the model's block_size: it has learned no longer "
        "distances",
        window, config_.block_size);
  config_.attention_window = window;
  for (const auto& block : h_) block->attn.set_window(window);
}

int64_t Gpt::num_params(bool non_embedding) {
  int64_t total = 0;
  if (non_embedding && learns_positions()) total -= wpe_.array().size();
  if (non_embedding && !config_.tie_weights) total -= wte_.dense.array().size();
  parameters([&](const std::string&, Parameter& parameter) { total += parameter.array().size(); });
  return total;
}

double Gpt::training_flops_per_token() {
  double matrices = double(config_.vocab_size * config_.n_embd);  // the head; a lookup is free
  parameters([&](const std::string& name, Parameter& parameter) {
    bool matrix = parameter.shape().rank() == 2 && name.find(".h.") != std::string::npos;
    if (matrix) matrices += double(parameter.array().size());
  });
  // Scores and values, each a multiply-add a channel for each position seen: half of the T^2 pairs,
  // less those that have left the window.
  const auto T = double(config_.block_size), window = double(config_.attention_window);
  const double unseen = window > 0 ? std::max(0.0, T - window) : 0;
  const double seen = (T * T - unseen * unseen) / T;
  return 6 * (matrices + double(config_.n_layer * config_.heads().channels()) * seen);
}

KvCache Gpt::make_cache(int64_t B, int64_t capacity, std::optional<DType> dtype) const {
  const bool is_default = capacity == std::numeric_limits<int64_t>::max();
  if (learns_positions() || is_default) capacity = std::min(capacity, config_.block_size);
  return {B,
          capacity,
          config_.n_layer,
          config_.heads(),
          dtype.value_or(context_.dtype),
          context_.device};
}

}  // namespace folio

#include "inspect/head_scores.h"

#include <algorithm>

#include "inspect/captures.h"

namespace folio {
namespace {

constexpr int64_t texts = 4;

// Sums up what each layer's attention [texts, H, T, T] shows.
class ScoreWatcher : public Watcher {
 public:
  ScoreWatcher(std::vector<HeadScore>& scores, int64_t half) : scores_(scores), half_(half) {}
  void value(const std::string& name, const Array& x) override {
    if (name.ends_with("attn.probabilities")) add(on_host(x), layer_++);
  }
  void gradient(const std::string&, const Array&) override {}

 private:
  void add(const HostArray& probabilities, int64_t layer);

  std::vector<HeadScore>& scores_;
  const int64_t half_;
  int64_t layer_ = 0;
};

void ScoreWatcher::add(const HostArray& probabilities, int64_t layer) {
  const int64_t H = probabilities.dim(1), T = probabilities.dim(2);
  const double share = 1.0 / double(texts * (T - half_));
  for (int64_t text = 0; text < texts; ++text)
    for (int64_t head = 0; head < H; ++head) {
      HeadScore& score = scores_[size_t(layer * H + head)];
      for (int64_t t = half_; t < T; ++t) {
        const std::span<const float> p = probabilities.row((text * H + head) * T + t);
        score.previous += share * p[size_t(t - 1)];
        score.same += share * p[size_t(t - half_)];
        score.first += share * p[0];
        score.induction += share * p[size_t(t - half_ + 1)];
      }
    }
}

}  // namespace

std::string kind_of(const HeadScore& s) {
  const std::pair<double, const char*> kinds[] = {
      {s.previous, "previous"}, {s.same, "same"}, {s.first, "first"}, {s.induction, "induction"}};
  const auto& [largest, name] = *std::ranges::max_element(kinds);
  return largest >= plain_score ? name : "none";
}

int64_t probe_half(const GptConfig& config) {
  int64_t half = std::min<int64_t>(25, config.block_size / 2);
  if (config.attention_window > 0) half = std::min(half, config.attention_window - 1);
  return std::max<int64_t>(half, 1);
}

std::vector<HeadScore> head_scores(Gpt& model, int64_t tokens) {
  const GptConfig& config = model.config();
  const int64_t half = probe_half(config);
  check(config.block_size >= 2, "head_scores: a model of block_size 1 has nothing to look back at");
  std::vector<HeadScore> scores;
  for (int64_t layer = 0; layer < config.n_layer; ++layer)
    for (int64_t head = 0; head < config.n_head; ++head)
      scores.push_back({.layer = layer, .head = head});
  const RandomStream stream{.seed = 1};
  std::vector<int32_t> ids;
  for (int64_t text = 0; text < texts; ++text) {
    for (int64_t i = 0; i < half; ++i)
      ids.push_back(int32_t(uniform_below(uint64_t(tokens), stream, uint64_t(text * half + i))));
    ids.insert(ids.end(), ids.end() - half, ids.end());
  }
  ScoreWatcher watcher(scores, half);
  watch_pass(
      model,
      token_ids(ids, {texts, 2 * half}, config.vocab_size, model.context().device, "the probe"),
      watcher);
  for (HeadScore& score : scores) score.kind = kind_of(score);
  return scores;
}

}  // namespace folio

#include "inspect/logit_lens.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "autograd/ops.h"
#include "core/parallel.h"

namespace folio {
namespace {

// A row of logits, of which the first are of tokens.
struct Row {
  std::span<const float> logits;
  double largest = 0, log_sum = 0;  // log of the sum of exp(logit - largest)

  explicit Row(std::span<const float> logits) : logits(logits) {
    largest = *std::ranges::max_element(logits);
    double sum = 0;
    for (float logit : logits) sum += std::exp(double(logit) - largest);
    log_sum = std::log(sum);
  }
  double probability(double logit) const { return std::exp(logit - largest - log_sum); }
};

std::vector<LensToken> likeliest(const Row& row, int64_t most) {
  std::vector<int32_t> ids(row.logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + std::min<std::ptrdiff_t>(most, std::ssize(ids));
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    const float of_a = row.logits[size_t(a)], of_b = row.logits[size_t(b)];
    return of_a != of_b ? of_a > of_b : a < b;
  });
  std::vector<LensToken> tokens;
  for (auto id = ids.begin(); id != end; ++id)
    tokens.push_back({*id, row.probability(row.logits[size_t(*id)])});
  return tokens;
}

// Keeps the final norm's result, of each call of Gpt::head.
class NormWatcher : public Watcher {
 public:
  void value(const std::string& name, const Array& x) override {
    if (name == "transformer.ln_f") normed.push_back(on_host(x));
  }
  void gradient(const std::string&, const Array&) override {}
  std::vector<HostArray> normed;  // of each point [1, T, C]
};

// The logits [T, V] of every point of the lens, one after another.
void each_point(Gpt& model, const Captures& captures, const std::vector<std::string>& points,
                const std::function<void(size_t point, const HostArray& logits)>& f) {
  NoGrad no_grad;
  for (size_t point = 0; point < points.size(); ++point) {
    const HostArray& x = captures.at(points[point]);
    const Array stream = to_array(x.values, {1, x.dim(0), x.dim(1)}, model.context().device);
    f(point, on_host(model.head(Tensor(stream)).array()));
  }
}

// The logit of one token: what the head makes of a row of the final norm.
double logit_of(std::span<const float> normed, std::span<const float> head, double cap) {
  double sum = 0;
  for (size_t c = 0; c < head.size(); ++c) sum += double(normed[c]) * double(head[c]);
  return cap > 0 ? cap * std::tanh(sum / cap) : sum;
}

HostArray head_matrix(Gpt& model) {
  HostArray head;
  const char* wanted = model.config().tie_weights ? "transformer.wte.weight" : "lm_head.weight";
  model.parameters([&](const std::string& name, Parameter& p) {
    if (name == wanted) head = on_host(p.array());
  });
  return head;
}

using Scales = std::vector<std::vector<std::pair<double, double>>>;

void add_leaders(Gpt& model, LogitLens& lens, const std::vector<HostArray>& normed,
                 const Scales& scales) {
  const HostArray head = head_matrix(model);
  const size_t P = lens.points.size(), T = lens.top[0].size();
  lens.leader_probability.assign(T, std::vector<std::vector<double>>(P));
  for (size_t t = 0; t < T; ++t) {
    std::set<int32_t> ids;
    for (size_t point = 0; point < P; ++point) ids.insert(lens.top[point][t][0].id);
    lens.leaders.emplace_back(ids.begin(), ids.end());
    for (size_t point = 0; point < P; ++point)
      for (int32_t id : ids) {
        const auto [largest, log_sum] = scales[point][t];
        const double logit =
            logit_of(normed[point].row(int64_t(t)), head.row(id), model.config().logit_softcap);
        lens.leader_probability[t][point].push_back(std::exp(logit - largest - log_sum));
      }
  }
}

}  // namespace

LogitLens logit_lens(Gpt& model, const Captures& captures, int64_t tokens, int64_t most) {
  LogitLens lens;
  lens.points.push_back("embedding");
  for (int64_t layer = 0; layer < model.config().n_layer; ++layer)
    for (const char* point : {"residual", "output"})
      lens.points.push_back(fmt::format("h.{}.{}", layer, point));
  const size_t P = lens.points.size(), T = captures.tokens.size();
  lens.top.assign(P, std::vector<std::vector<LensToken>>(T));
  lens.probability.assign(P, std::vector<double>(T - 1));
  lens.rank.assign(P, std::vector<int64_t>(T - 1));
  lens.loss.resize(T - 1);
  Scales scales(P, std::vector<std::pair<double, double>>(T));  // of rows: largest, log_sum
  NormWatcher norms;
  model.context().watcher = &norms;
  each_point(model, captures, lens.points, [&](size_t point, const HostArray& logits) {
    parallel_for(int64_t(T), [&](int64_t i) {
      const auto t = size_t(i);
      const Row row(logits.row(i).first(size_t(tokens)));
      scales[point][t] = {row.largest, row.log_sum};
      lens.top[point][t] = likeliest(row, most);
      if (t + 1 == T) return;
      const auto next_id = size_t(captures.tokens[t + 1]);
      const float next = row.logits[next_id];
      lens.probability[point][t] = row.probability(next);
      lens.rank[point][t] =
          std::ranges::count_if(row.logits, [&](float other) { return other > next; });
      if (point + 1 == P) {  // over all rows of the model, as training counts
        const Row all(logits.row(i));
        lens.loss[t] = all.largest + all.log_sum - next;
      }
    });
  });
  model.context().watcher = nullptr;
  add_leaders(model, lens, norms.normed, scales);
  return lens;
}

}  // namespace folio

#include "inspect/logit_lens.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "autograd/ops.h"
#include "core/parallel.h"

namespace folio {
namespace {

// softmax(logits), in place of them in double.
std::vector<double> softmax_of(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<double> p(logits.size());
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(double(logits[i]) - largest);
  for (double& x : p) x /= sum;
  return p;
}

std::vector<LensToken> likeliest(const std::vector<double>& p, int64_t most) {
  std::vector<int32_t> ids(p.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + std::min<std::ptrdiff_t>(most, std::ssize(ids));
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    return p[size_t(a)] != p[size_t(b)] ? p[size_t(a)] > p[size_t(b)] : a < b;
  });
  std::vector<LensToken> tokens;
  for (auto id = ids.begin(); id != end; ++id) tokens.push_back({*id, p[size_t(*id)]});
  return tokens;
}

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
  auto row_of = [&](const HostArray& logits, size_t t) {
    return logits.row(int64_t(t)).first(size_t(tokens));
  };
  each_point(model, captures, lens.points, [&](size_t point, const HostArray& logits) {
    parallel_for(int64_t(T), [&](int64_t i) {
      const auto t = size_t(i);
      const std::vector<double> p = softmax_of(row_of(logits, t));
      lens.top[point][t] = likeliest(p, most);
      if (t + 1 == T) return;
      const double next = p[size_t(captures.tokens[t + 1])];
      lens.probability[point][t] = next;
      lens.rank[point][t] = std::ranges::count_if(p, [&](double other) { return other > next; });
    });
  });
  for (size_t t = 0; t < T; ++t) {
    std::set<int32_t> ids;
    for (size_t point = 0; point < P; ++point) ids.insert(lens.top[point][t][0].id);
    lens.leaders.emplace_back(ids.begin(), ids.end());
  }
  lens.leader_probability.assign(T, std::vector<std::vector<double>>(P));
  each_point(model, captures, lens.points, [&](size_t point, const HostArray& logits) {
    parallel_for(int64_t(T), [&](int64_t i) {
      const auto t = size_t(i);
      const std::vector<double> p = softmax_of(row_of(logits, t));
      for (int32_t id : lens.leaders[t]) lens.leader_probability[t][point].push_back(p[size_t(id)]);
      // Over all rows of the model, as training counts.
      if (point + 1 == P && t + 1 < T)
        lens.loss[t] = -std::log(softmax_of(logits.row(i))[size_t(captures.tokens[t + 1])]);
    });
  });
  return lens;
}

}  // namespace folio

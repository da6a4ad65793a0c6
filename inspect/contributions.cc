#include "inspect/contributions.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/ops.h"

namespace folio {
namespace {

double dot(std::span<const float> a, std::span<const float> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus(),
                            [](float x, float y) { return double(x) * double(y); });
}

std::map<std::string, Array> parameters_of(Gpt& model) {
  std::map<std::string, Array> parameters;
  model.parameters([&](const std::string& name, Parameter& p) { parameters[name] = p.array(); });
  return parameters;
}

// For each position t what the logit of target t is a dot product of the residual stream with:
// (w_ln * W[target] - its mean, for a layer norm) / deviation of the stream -> [T, C].
HostArray directions(Gpt& model, const Captures& captures, const std::vector<int32_t>& targets,
                     const HostArray& head, const std::vector<float>& w) {
  const Norm norm = model.config().norm_of_rows();
  const HostArray& x = captures.at(model.config().n_layer - 1, "output");
  HostArray d = x;
  const int64_t C = x.dim(1);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const std::span<const float> row = x.row(t), to = head.row(targets[size_t(t)]);
    double mean = 0, square = 0, mean_d = 0;
    for (float value : row) mean += value / double(C);
    if (norm.kind == NormKind::rms) mean = 0;
    for (float value : row) square += (value - mean) * (value - mean) / double(C);
    for (int64_t c = 0; c < C; ++c) mean_d += double(w[size_t(c)]) * to[size_t(c)] / double(C);
    if (norm.kind == NormKind::rms) mean_d = 0;
    const double rstd = 1 / std::sqrt(square + norm.eps);
    for (int64_t c = 0; c < C; ++c)
      d.values[size_t(t * C + c)] = float((double(w[size_t(c)]) * to[size_t(c)] - mean_d) * rstd);
  }
  return d;
}

}  // namespace

Contributions contributions(Gpt& model, const Captures& captures, int64_t tokens) {
  NoGrad no_grad;
  const GptConfig& config = model.config();
  const std::map<std::string, Array> parameters = parameters_of(model);
  auto has = [&](const std::string& name) { return parameters.contains(name); };
  const HostArray head =
      on_host(parameters.at(config.tie_weights ? "transformer.wte.weight" : "lm_head.weight"));
  const std::vector<float> w = on_host(parameters.at("transformer.ln_f.weight")).values;
  const auto T = std::ssize(captures.tokens);
  Contributions all;
  all.targets.assign(captures.tokens.begin() + 1, captures.tokens.end());
  const auto last = captures.at("logits").row(T - 1).first(size_t(tokens));
  all.targets.push_back(int32_t(std::ranges::max_element(last) - last.begin()));
  const HostArray d = directions(model, captures, all.targets, head, w);
  const Tensor directions_there = to_array(d.values, {T, d.dim(1)}, model.context().device);

  auto add = [&](const std::string& name, const std::function<double(int64_t t)>& value) {
    all.parts.push_back(name);
    all.values.emplace_back();
    for (int64_t t = 0; t < T; ++t) all.values.back().push_back(value(t));
  };
  auto add_dots = [&](const std::string& name, const HostArray& x) {
    add(name, [&](int64_t t) { return dot(d.row(t), x.row(t)); });
  };
  add_dots("embedding", captures.at("embedding"));
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string block = fmt::format("transformer.h.{}.", layer);
    // d^T (c_proj y) is (d^T c_proj) y, of which each head has its columns: [T, H D].
    const HostArray u = on_host(
        matmul(directions_there, Tensor(parameters.at(block + "attn.c_proj.weight"))).array());
    const HostArray& y = captures.at(layer, "attn.output");
    const auto D = size_t(config.heads().width);
    for (int64_t head_index = 0; head_index < config.n_head; ++head_index)
      add(fmt::format("h.{}.head.{}", layer, head_index), [&](int64_t t) {
        const size_t at = size_t(head_index) * D;
        return dot(u.row(t).subspan(at, D), y.row(t).subspan(at, D));
      });
    if (has(block + "attn.c_proj.bias")) {
      const std::vector<float> bias = on_host(parameters.at(block + "attn.c_proj.bias")).values;
      add(fmt::format("h.{}.attn.bias", layer), [&](int64_t t) { return dot(d.row(t), bias); });
    }
    HostArray mlp = captures.at(layer, "output");
    const HostArray& before = captures.at(layer, "residual");
    for (size_t i = 0; i < mlp.values.size(); ++i) mlp.values[i] -= before.values[i];
    add_dots(fmt::format("h.{}.mlp", layer), mlp);
  }
  if (has("transformer.ln_f.bias")) {
    const std::vector<float> bias = on_host(parameters.at("transformer.ln_f.bias")).values;
    add("ln_f.bias", [&](int64_t t) { return dot(head.row(all.targets[size_t(t)]), bias); });
  }
  const HostArray& normed = captures.at("ln_f");
  for (int64_t t = 0; t < T; ++t)
    all.logits.push_back(dot(normed.row(t), head.row(all.targets[size_t(t)])));
  return all;
}

}  // namespace folio

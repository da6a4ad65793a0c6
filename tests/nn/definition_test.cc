// The model against its definition, in loops over doubles that share no code with it.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numbers>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // [T][channels]
using Values = std::map<std::string, Row>;

const GptConfig config{
    .block_size = 8, .vocab_size = 11, .n_layer = 2, .n_head = 2, .n_embd = 16, .bias = true};

// x W^T + b for every row.
Rows affine(const Rows& x, const Values& p, const std::string& name) {
  const Row &w = p.at(name + ".weight"), &b = p.at(name + ".bias");
  Rows y(x.size(), b);
  for (size_t t = 0; t < x.size(); ++t)
    for (size_t n = 0; n < b.size(); ++n)
      for (size_t k = 0; k < x[t].size(); ++k) y[t][n] += x[t][k] * w[n * x[t].size() + k];
  return y;
}

Rows normed(Rows x, const Values& p, const std::string& name) {
  for (Row& row : x) {
    double mean = 0, variance = 0;
    for (double value : row) mean += value / double(row.size());
    for (double value : row) variance += (value - mean) * (value - mean) / double(row.size());
    for (size_t c = 0; c < row.size(); ++c)
      row[c] = (row[c] - mean) / std::sqrt(variance + 1e-5) * p.at(name + ".weight")[c] +
               p.at(name + ".bias")[c];
  }
  return x;
}

// Each position attends to itself and those before it, a head at a time.
Rows attended(const Rows& qkv, size_t heads) {
  const size_t C = qkv[0].size() / 3, D = C / heads;
  Rows y(qkv.size(), Row(C, 0));
  for (size_t h = 0; h < heads; ++h)
    for (size_t t = 0; t < qkv.size(); ++t) {
      Row weight(t + 1, 0);
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) {
        for (size_t d = h * D; d < (h + 1) * D; ++d) weight[s] += qkv[t][d] * qkv[s][C + d];
        weight[s] = std::exp(weight[s] / std::sqrt(double(D)));
        sum += weight[s];
      }
      for (size_t s = 0; s <= t; ++s)
        for (size_t d = h * D; d < (h + 1) * D; ++d) y[t][d] += weight[s] / sum * qkv[s][2 * C + d];
    }
  return y;
}

double gelu(double x) { return x / 2 * (1 + std::erf(x / std::numbers::sqrt2)); }

void add_to(Rows& x, const Rows& y) {
  for (size_t t = 0; t < x.size(); ++t)
    for (size_t c = 0; c < x[t].size(); ++c) x[t][c] += y[t][c];
}

Rows logits(const Values& p, const std::vector<int32_t>& tokens) {
  const auto C = size_t(config.n_embd), V = size_t(config.vocab_size);
  const Row &wte = p.at("transformer.wte.weight"), &wpe = p.at("transformer.wpe.weight");
  Rows x;
  for (size_t t = 0; t < tokens.size(); ++t) {
    x.emplace_back();
    for (size_t c = 0; c < C; ++c) x[t].push_back(wte[size_t(tokens[t]) * C + c] + wpe[t * C + c]);
  }
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string h = fmt::format("transformer.h.{}.", layer);
    const Rows qkv = affine(normed(x, p, h + "ln_1"), p, h + "attn.c_attn");
    add_to(x, affine(attended(qkv, size_t(config.n_head)), p, h + "attn.c_proj"));
    Rows hidden = affine(normed(x, p, h + "ln_2"), p, h + "mlp.c_fc");
    for (Row& row : hidden)
      for (double& value : row) value = gelu(value);
    add_to(x, affine(hidden, p, h + "mlp.c_proj"));
  }
  x = normed(x, p, "transformer.ln_f");
  Rows out(x.size(), Row(V, 0));
  for (size_t t = 0; t < x.size(); ++t)
    for (size_t v = 0; v < V; ++v)
      for (size_t c = 0; c < C; ++c) out[t][v] += x[t][c] * wte[v * C + c];
  return out;
}

// A model in f64 whose every weight, bias and norm is drawn, and large enough to matter.
std::unique_ptr<Gpt> drawn(Values& values) {
  auto model = std::make_unique<Gpt>(config, test_device());
  uint64_t stream = 0;
  model->parameters([&](const std::string& name, Parameter& p) {
    Array array = empty(p.shape(), DType::f64);
    backend(array)->random.normal(array, 0.1, 0.4, {3, stream++});
    values[name] = to_vector<double>(array);
    p = Parameter::leaf(array);
  });
  model->context().dtype = DType::f64;
  return model;
}

TEST(Definition, LogitsAndLossAreThose) {
  Values values;
  auto model = drawn(values);
  const std::vector<int32_t> tokens{3, 10, 0, 7, 7, 1, 2, 5}, targets{10, 0, -1, 7, 1, 2, 5, 4};
  const Rows expected = logits(values, tokens);
  NoGrad no_grad;
  const auto got = to_vector<double>((*model)(to_array(tokens, {1, 8})).array());
  double loss = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    double sum = 0;
    for (size_t v = 0; v < expected[t].size(); ++v) {
      EXPECT_NEAR(got[t * expected[t].size() + v], expected[t][v], 1e-11) << t << " " << v;
      sum += std::exp(expected[t][v]);
    }
    if (targets[t] >= 0) loss += (std::log(sum) - expected[t][size_t(targets[t])]) / 7;
  }
  EXPECT_NEAR(item(model->loss(to_array(tokens, {1, 8}), to_array(targets, {1, 8})).array()), loss,
              1e-11);
}

// nanoGPT's count, 6 N + 12 n_layer n_embd T (Chowdhery et al., "PaLM", 2022, appendix B) with N
// the weights of matrices, less the half of attention that the causal mask leaves out.
TEST(Definition, TrainingFlopsAreThoseOfTheMatricesAndHalfOfAttention) {
  // GPT-2 124M: 12 blocks of 12 C^2, a head of V C, and 6 n_layer C T for attention.
  Gpt gpt2({.vocab_size = 50257}, test_device());
  const double blocks = 12 * 12 * 768.0 * 768, head = 50257 * 768.0;
  EXPECT_EQ(gpt2.training_flops_per_token(), 6 * (blocks + head) + 6 * 12 * 768.0 * 1024);
  EXPECT_EQ(gpt2.training_flops_per_token(), 797'815'296 + 6 * 0.0);
}

}  // namespace
}  // namespace folio

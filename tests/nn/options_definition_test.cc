// A model with every option at once against its definition, in loops over doubles that share no
// code with it, and its cache: a ring whose tokens have the same bits however they came.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // [T][channels]
using Values = std::map<std::string, Row>;

const GptConfig config{.block_size = 8,
                       .vocab_size = 11,
                       .n_layer = 2,
                       .n_head = 4,
                       .n_embd = 12,
                       .bias = false,
                       .activation = Activation::swiglu(),
                       .position = "rotary",
                       .rope_theta = 50,
                       .rope_factor = 4,
                       .rope_low_freq_factor = 0.5,
                       .rope_high_freq_factor = 2,
                       .rope_original_context = 10,
                       .norm = "rms",
                       .norm_eps = 1e-2,
                       .qk_norm = "rms_learned",
                       .ffn_hidden = 10,
                       .head_dim = 6,
                       .n_kv_head = 2,
                       .attention_window = 5,
                       .tie_weights = false,
                       .logit_softcap = 2};

// x W^T, W [n, x's length].
Row product(const Row& x, const Row& w) {
  Row y(w.size() / x.size(), 0);
  for (size_t n = 0; n < y.size(); ++n)
    for (size_t k = 0; k < x.size(); ++k) y[n] += x[k] * w[n * x.size() + k];
  return y;
}

Row normed(Row x, const Row& weight) {
  double squares = 0;
  for (double value : x) squares += value * value;
  for (size_t c = 0; c < x.size(); ++c)
    x[c] *= weight[c] / std::sqrt(squares / double(x.size()) + 1e-2);
  return x;
}

// Elements i and i + 3 of a head of 6 are a point in the plane, turned by t / 50^(i / 3). Llama 3's
// scaling by 4 makes wavelengths above 10 / 0.5 four times as long; the first, 6.3, lies between
// those and the ones below 10 / 2, which stay.
Row turned(const Row& x, size_t t) {
  Row y(6);
  for (size_t i = 0; i < 3; ++i) {
    double angle = double(t) / std::pow(50, double(i) / 3);
    const double wavelength = 2 * std::acos(-1.0) * std::pow(50, double(i) / 3);
    if (wavelength > 10 / 0.5) {
      angle /= 4;
    } else if (wavelength > 10 / 2.0) {
      const double smooth = (10 / wavelength - 0.5) / (2 - 0.5);
      angle = (1 - smooth) * angle / 4 + smooth * angle;
    }
    y[i] = x[i] * std::cos(angle) - x[i + 3] * std::sin(angle);
    y[i + 3] = x[i] * std::sin(angle) + x[i + 3] * std::cos(angle);
  }
  return y;
}

Row head_of(const Row& qkv, size_t column) {
  return {qkv.begin() + long(column), qkv.begin() + long(column) + 6};
}

// Four heads of queries, two of keys (from column 24) and of values (from 36); a position sees
// itself and the four before it.
Rows attended(const Rows& qkv, const Row& q_norm, const Row& k_norm) {
  Rows y(qkv.size(), Row(24, 0));
  for (size_t h = 0; h < 4; ++h)
    for (size_t t = 0; t < qkv.size(); ++t) {
      const Row q = turned(normed(head_of(qkv[t], 6 * h), q_norm), t);
      const size_t first = t < 4 ? 0 : t - 4;
      Row weight;
      double sum = 0;
      for (size_t s = first; s <= t; ++s) {
        const Row k = turned(normed(head_of(qkv[s], 24 + h / 2 * 6), k_norm), s);
        double score = 0;
        for (size_t d = 0; d < 6; ++d) score += q[d] * k[d];
        weight.push_back(std::exp(score / std::sqrt(6.0)));
        sum += weight.back();
      }
      for (size_t s = first; s <= t; ++s)
        for (size_t d = 0; d < 6; ++d)
          y[t][6 * h + d] += weight[s - first] / sum * qkv[s][36 + h / 2 * 6 + d];
    }
  return y;
}

Rows logits(const Values& p, const std::vector<int32_t>& tokens) {
  const Row& wte = p.at("transformer.wte.weight");
  Rows x;
  for (int32_t token : tokens)
    x.emplace_back(wte.begin() + 12 * token, wte.begin() + 12 * (token + 1));
  for (int layer = 0; layer < 2; ++layer) {
    auto weight = [&](const char* name) {
      return p.at(fmt::format("transformer.h.{}.{}.weight", layer, name));
    };
    Rows qkv;
    for (const Row& row : x)
      qkv.push_back(product(normed(row, weight("ln_1")), weight("attn.c_attn")));
    const Rows y = attended(qkv, weight("attn.q_norm"), weight("attn.k_norm"));
    for (size_t t = 0; t < x.size(); ++t) {
      const Row attention = product(y[t], weight("attn.c_proj"));
      for (size_t c = 0; c < 12; ++c) x[t][c] += attention[c];
      const Row both = product(normed(x[t], weight("ln_2")), weight("mlp.c_fc"));
      Row hidden;
      for (size_t i = 0; i < 10; ++i)
        hidden.push_back(both[i] / (1 + std::exp(-both[i])) * both[10 + i]);
      const Row mlp = product(hidden, weight("mlp.c_proj"));
      for (size_t c = 0; c < 12; ++c) x[t][c] += mlp[c];
    }
  }
  Rows out;
  for (const Row& row : x) {
    out.push_back(product(normed(row, p.at("transformer.ln_f.weight")), p.at("lm_head.weight")));
    for (double& value : out.back()) value = 2 * std::tanh(value / 2);
  }
  return out;
}

// A model whose every weight and norm is drawn, and large enough to matter.
std::unique_ptr<Gpt> drawn(DType dtype, Values* values = nullptr) {
  auto model = std::make_unique<Gpt>(config, test_device());
  uint64_t stream = 0;
  model->parameters([&](const std::string& name, Parameter& p) {
    Array array = empty(p.shape(), dtype);
    backend(array)->random.normal(array, 0.1, 0.4, {3, stream++});
    if (values) (*values)[name] = to_vector<double>(array);
    p = Parameter::leaf(array);
  });
  model->context().dtype = dtype;
  return model;
}

Array ids(int64_t B, int64_t T, int64_t seed = 7) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i < B * T; ++i) values.push_back(int32_t((i * i * seed + 3 * i + seed) % 11));
  return to_array(values, {B, T});
}

TEST(OptionsDefinition, LogitsAndLossAreThose) {
  Values values;
  auto model = drawn(DType::f64, &values);
  const std::vector<int32_t> tokens{3, 10, 0, 7, 7, 1, 2, 5}, targets{10, 0, -1, 7, 1, 2, 5, 4};
  const Rows expected = logits(values, tokens);
  NoGrad no_grad;
  const auto got = to_vector<double>((*model)(to_array(tokens, {1, 8})).array());
  double loss = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    double sum = 0;
    for (size_t v = 0; v < 11; ++v) {
      EXPECT_NEAR(got[t * 11 + v], expected[t][v], 1e-11) << t << " " << v;
      sum += std::exp(expected[t][v]);
    }
    if (targets[t] >= 0) loss += (std::log(sum) - expected[t][size_t(targets[t])]) / 7;
  }
  EXPECT_NEAR(item(model->loss(to_array(tokens, {1, 8}), to_array(targets, {1, 8})).array()), loss,
              1e-11);
}

// Rotary positions have no end: neither has what the model reads.
TEST(OptionsDefinition, TextsLongerThanBlockSizeAreRead) {
  Values values;
  auto model = drawn(DType::f64, &values);
  NoGrad no_grad;
  const Array tokens = ids(1, 30);
  const Rows expected = logits(values, to_vector<int32_t>(tokens));
  const auto got = to_vector<double>((*model)(tokens).array());
  for (size_t t = 0; t < 30; ++t)
    for (size_t v = 0; v < 11; ++v) EXPECT_NEAR(got[t * 11 + v], expected[t][v], 1e-11) << t;
}

TEST(OptionsDefinition, CountsOfParametersAndFlops) {
  auto model = drawn(DType::f32);
  // A block: c_attn 48 x 12, c_proj 12 x 24, c_fc 20 x 12, c_proj 12 x 10, two norms and those of
  // queries and keys; then the last norm, the embedding and the head.
  const int64_t matrices = 48 * 12 + 12 * 24 + 20 * 12 + 12 * 10, norms = 2 * 12 + 2 * 6;
  EXPECT_EQ(model->num_params(false), 2 * (matrices + norms) + 12 + 2 * 11 * 12);
  EXPECT_EQ(model->num_params(), 2 * (matrices + norms) + 12 + 11 * 12);
  // Of 8 positions seeing up to 5: 1 + 2 + 3 + 4 + 5 + 5 + 5 + 5 pairs, of which the count takes
  // half of 64 - 9; scores and values for 24 channels.
  EXPECT_DOUBLE_EQ(model->training_flops_per_token(),
                   6 * (2.0 * double(matrices) + 11 * 12 + 2 * 24 * (64 - 9) / 8.0));
}

TEST(OptionsDefinition, AShorterContextHasNoEmbeddingToCut) {
  auto model = drawn(DType::f32);
  model->crop_block_size(4);
  EXPECT_EQ(model->config().block_size, 4);
  EXPECT_EQ(model->num_params(), drawn(DType::f32)->num_params());
}

// One that is given to a model afterwards is that of a model that has had it from the beginning.
TEST(OptionsDefinition, AWindowCanBeGivenToRotaryPositions) {
  auto model = drawn(DType::f32);
  GptConfig unlimited = config;
  unlimited.attention_window = 0;
  auto given = std::make_unique<Gpt>(unlimited, test_device());
  std::map<std::string, Array> values;
  model->parameters([&](const std::string& name, Parameter& p) { values[name] = p.array(); });
  given->parameters([&](const std::string& name, Parameter& p) { p.assign(values.at(name)); });
  NoGrad no_grad;
  auto logits_of = [&](Gpt& gpt, bool cached) {
    KvCache cache = gpt.make_cache(1);
    return to_vector<float>(gpt(ids(1, 8), cached ? &cache : nullptr).array());
  };
  EXPECT_NE(logits_of(*given, false), logits_of(*model, false));
  EXPECT_THROW(given->set_attention_window(0), Error);
  EXPECT_THROW(given->set_attention_window(9), Error);  // block_size is 8
  given->set_attention_window(5);
  EXPECT_EQ(given->config().attention_window, 5);
  for (bool cached : {false, true}) EXPECT_EQ(logits_of(*given, cached), logits_of(*model, cached));
  EXPECT_THROW(given->set_attention_window(4), Error);
  for (const char* position : {"learned", "none"}) {
    unlimited.position = position;
    EXPECT_THROW(Gpt(unlimited, test_device()).set_attention_window(5), Error);
  }
}

// The logits of `tokens` in calls of n, in rings for at least `room` positions.
std::vector<float> in_calls(Gpt& model, const std::vector<int32_t>& tokens, size_t n,
                            int64_t room = 0) {
  KvCache cache = model.make_cache(1);
  for (KvLayer& layer : cache.layers)
    layer = test_backend()->kv_cache.make_layer(1, room, config.heads(), DType::f32);
  std::vector<float> all;
  for (size_t at = 0; at < tokens.size(); at += n) {
    const std::vector<int32_t> part(tokens.begin() + long(at),
                                    tokens.begin() + long(std::min(at + n, tokens.size())));
    const Array ids = to_array(part, {1, int64_t(part.size())});
    for (float logit : to_vector<float>(model(ids, &cache).array())) all.push_back(logit);
  }
  EXPECT_EQ(cache.length(), int64_t(tokens.size()));
  return all;
}

class Ring : public testing::TestWithParam<WeightFormat> {};
INSTANTIATE_TEST_SUITE_P(Formats, Ring,
                         testing::Values(WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// However a text of many windows is split into calls, in whatever batch it is, in a ring and in a
// cache with room for all of it, its logits have the same bits.
TEST_P(Ring, ATokensBitsDoNotDependOnHowItCame) {
  auto model = drawn(DType::f32);
  model->pack(GetParam());
  NoGrad no_grad;
  const std::vector<int32_t> tokens = to_vector<int32_t>(ids(1, 400));
  const std::vector<float> expected = in_calls(*model, tokens, 1);
  for (size_t n : {7, 64, 400}) EXPECT_EQ(in_calls(*model, tokens, n), expected) << n;
  EXPECT_EQ(in_calls(*model, tokens, 33, 1000), expected);

  // Three rows of 133 tokens, the first of them the text's, then one row by itself.
  KvCache three = model->make_cache(3), one = model->make_cache(1);
  std::vector<int32_t> rows(tokens.begin(), tokens.begin() + 133);
  for (int32_t token : to_vector<int32_t>(ids(2, 133, 5))) rows.push_back(token);
  const auto batch = to_vector<float>((*model)(to_array(rows, {3, 133}), &three).array());
  EXPECT_EQ(std::vector(batch.begin(), batch.begin() + 133 * 11),
            std::vector(expected.begin(), expected.begin() + 133 * 11));
  one.copy_row(three, 0, 0);
  const auto next =
      to_vector<float>((*model)(to_array(std::vector{tokens[133]}, {1, 1}), &one).array());
  EXPECT_EQ(next, std::vector(expected.begin() + 133 * 11, expected.begin() + 134 * 11));
}

TEST(RingOfAModel, IsTheForwardPassOverTheWholeText) {
  auto model = drawn(DType::f32);
  NoGrad no_grad;
  const Array tokens = ids(1, 300);
  const auto whole = to_vector<float>((*model)(tokens).array());
  const std::vector<float> ring = in_calls(*model, to_vector<int32_t>(tokens), 50);
  for (size_t i = 0; i < whole.size(); ++i) ASSERT_NEAR(ring[i], whole[i], 2e-5) << i;
}

TEST(RingOfAModel, DoesNotGrowWithTheText) {
  auto model = drawn(DType::f32);
  NoGrad no_grad;
  KvCache cache = model->make_cache(1);
  EXPECT_EQ(cache.bytes(), model->make_cache(1, 100000).bytes());
  cache.set_length(0, 2000000000);
  (*model)(ids(1, 3), &cache);
  EXPECT_EQ(cache.length(), 2000000003);
}

}  // namespace
}  // namespace folio

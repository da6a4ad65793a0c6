// The two spellings of the model: what the formulas say op by op, and the fused ops that run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {
namespace {

constexpr int64_t B = 2, T = 8, V = 11;

GptConfig config(Unary activation) {
  return {.block_size = T,
          .vocab_size = V,
          .n_layer = 2,
          .n_head = 2,
          .n_embd = 16,
          .dropout = 0.2,
          .bias = true,
          .activation = activation};
}

Array ids(int64_t step) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i < B * T; ++i) values.push_back(int32_t((i * step + 3) % V));
  return to_array(values, {B, T});
}

std::vector<double> values_of(const Array& x) {
  return to_vector<double>(backend(x)->elementwise.cast(x, DType::f64));
}

// Weights in f64 under f64, and large enough that attention is not uniform.
void draw(Gpt& model, DType dtype) {
  uint64_t stream = 0;
  model.parameters([&](const std::string&, Parameter& p) {
    Array values(p.shape(), dtype == DType::f64 ? DType::f64 : DType::f32, test_device());
    const bool matrix = p.shape().rank() == 2;
    backend(values)->random.normal(values, matrix ? 0 : 0.5, matrix ? 0.3 : 0.1, {7, stream++});
    p = Parameter::leaf(values);
  });
  model.context().dtype = dtype;
}

// Loss, logits and gradients of one step of training, by name.
using Results = std::map<std::string, std::vector<double>>;
Results results(DType dtype, const GptConfig& config, bool plain) {
  Gpt model(config, test_device());
  draw(model, dtype);
  model.context().random = {5};
  model.context().training = true;
  model.context().plain = plain;
  Results all;
  Tensor loss = model.loss(ids(7), ids(5), 0.5);
  loss.backward();
  all["loss"] = values_of(loss.array());
  model.parameters([&](const std::string& name, Parameter& p) { all[name] = values_of(p.grad()); });
  NoGrad no_grad;
  model.context().training = false;
  all["logits"] = values_of(model(ids(7)).array());
  return all;
}

// |a - b| over |b|, both as vectors.
double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

struct Case {
  DType dtype;
  double tolerance;  // some roundings of a sum of a few dozen terms
};
class Plain : public testing::TestWithParam<Case> {};

// A model for each activation, for each other option, and for all of them at once.
std::map<std::string, GptConfig> models() {
  std::map<std::string, GptConfig> all;
  for_each_op<UnaryOps>([&](auto op) {
    const Unary activation = unary<decltype(op)>();
    if (is_activation(activation)) all[std::string(op.name)] = config(activation);
  });
  auto add = [&](const std::string& name, auto change) {
    GptConfig one = config(gelu_erf_op);
    change(one);
    all[name] = one;
  };
  add("swiglu", [](GptConfig& c) { c.activation = Activation::swiglu(); });
  add("rotary", [](GptConfig& c) { c.position = "rotary", c.rope_theta = 20; });
  add("no_position", [](GptConfig& c) { c.position = "none"; });
  add("rms", [](GptConfig& c) { c.norm = "rms", c.norm_eps = 1e-2; });
  add("norm_eps", [](GptConfig& c) { c.norm_eps = 0.5; });
  add("qk_norm", [](GptConfig& c) { c.qk_norm = "rms"; });
  add("qk_norm_learned", [](GptConfig& c) { c.qk_norm = "rms_learned"; });
  add("ffn_hidden", [](GptConfig& c) { c.ffn_hidden = 24; });
  add("head_dim", [](GptConfig& c) { c.head_dim = 12; });
  add("n_kv_head", [](GptConfig& c) { c.n_kv_head = 1; });
  add("attention_window", [](GptConfig& c) { c.attention_window = 3; });
  add("tie_weights", [](GptConfig& c) { c.tie_weights = false; });
  add("logit_softcap", [](GptConfig& c) { c.logit_softcap = 1.5; });
  add("all", [](GptConfig& c) {
    c.n_head = 4, c.n_kv_head = 2, c.head_dim = 6, c.ffn_hidden = 20, c.attention_window = 4;
    c.position = "rotary", c.rope_theta = 100, c.norm = "rms", c.qk_norm = "rms_learned";
    c.activation = Activation::swiglu(), c.tie_weights = false, c.logit_softcap = 3;
  });
  return all;
}

TEST_P(Plain, IsTheFusedModel) {
  auto [dtype, tolerance] = GetParam();
  for (const auto& [option, model] : models()) {
    SCOPED_TRACE(option);
    Results fused = results(dtype, model, false), plain = results(dtype, model, true);
    double worst = 0;
    for (const auto& [name, values] : fused) {
      ASSERT_EQ(plain.at(name).size(), values.size()) << name;
      const double difference = relative_difference(plain.at(name), values);
      EXPECT_LT(difference, tolerance) << name;
      worst = std::max(worst, difference);
    }
    RecordProperty("worst", fmt::format("{:.2g}", worst));
    EXPECT_GT(fused.size(), 20u);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Plain,
                         testing::Values(Case{DType::f64, 1e-12}, Case{DType::f32, 1e-5},
                                         Case{DType::bf16, 3e-2}),
                         [](const auto& info) { return std::string(name_of(info.param.dtype)); });

// Keeps what it is shown.
struct Recorder : Watcher {
  void value(const std::string& name, const Array& x) override {
    names.push_back(name);
    values[name] = x;
  }
  void gradient(const std::string& name, const Array& dx) override { gradients[name] = dx; }

  std::vector<std::string> names;
  std::map<std::string, Array> values, gradients;
};

TEST(Watch, SeesEveryPointInOrderAndItsGradient) {
  Gpt model(config(gelu_erf_op), test_device(), 1);
  Recorder seen;
  model.context().watcher = &seen;
  model.loss(ids(7), ids(5)).backward();
  std::vector<std::string> expected{"transformer.embedding"};
  for (int layer = 0; layer < 2; ++layer)
    for (const char* point : {"attn.q", "attn.k", "attn.v", "attn.scores", "attn.probabilities",
                              "attn.output", "residual", "mlp.hidden", "output"})
      expected.push_back(fmt::format("transformer.h.{}.{}", layer, point));
  expected.push_back("transformer.ln_f");
  expected.push_back("transformer.logits");
  EXPECT_EQ(seen.names, expected);
  for (const std::string& name : expected) {
    ASSERT_TRUE(seen.gradients.contains(name)) << name;
    EXPECT_EQ(seen.gradients[name].shape(), seen.values[name].shape()) << name;
  }
  EXPECT_EQ(seen.values["transformer.h.1.attn.probabilities"].shape(), (Shape{B, 2, T, T}));

  const std::vector<double> p = values_of(seen.values["transformer.h.0.attn.probabilities"]);
  for (int64_t row = 0; row < B * 2 * T; ++row) {
    double sum = 0;
    for (int64_t key = 0; key < T; ++key) {
      const double value = p[size_t(row * T + key)];
      if (key > row % T) {
        EXPECT_EQ(value, 0) << row << " sees " << key;
      }
      sum += value;
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

// The gradient of a point is the slope of the loss along it: that of the embedding, through the
// public parts of the model.
TEST(Watch, GradientsAreTheSlopesOfTheLoss) {
  Gpt model(config(gelu_erf_op), test_device());
  draw(model, DType::f64);
  Recorder seen;
  model.context().watcher = &seen;
  model.loss(ids(7), ids(5)).backward();
  model.context().watcher = nullptr;
  model.context().plain = true;
  const Array x = seen.values["transformer.embedding"];
  const std::vector<double> at = values_of(x),
                            slope = values_of(seen.gradients["transformer.embedding"]);
  const auto targets = to_vector<int32_t>(ids(5));
  auto loss_at = [&](const std::vector<double>& values) {
    NoGrad no_grad;
    const auto logits =
        values_of(model.head(model.blocks(Tensor(to_array(values, x.shape())))).array());
    double loss = 0;
    for (size_t row = 0; row < targets.size(); ++row) {
      double sum = 0;
      for (size_t v = 0; v < V; ++v) sum += std::exp(logits[row * V + v]);
      loss += std::log(sum) - logits[row * V + size_t(targets[row])];
    }
    return loss / double(targets.size());
  };
  const double h = 1e-6;
  for (size_t i = 0; i < at.size(); i += 17) {
    std::vector<double> above = at, below = at;
    above[i] += h;
    below[i] -= h;
    EXPECT_NEAR(slope[i], (loss_at(above) - loss_at(below)) / (2 * h), 1e-7) << i;
  }
}

TEST(Watch, AModelThatNobodyWatchesGivesTheSameNumbers) {
  Gpt model(config(gelu_erf_op), test_device(), 1);
  NoGrad no_grad;
  const auto before = values_of(model(ids(7)).array());
  Recorder seen;
  model.context().watcher = &seen;
  const auto watched = values_of(model(ids(7)).array());
  EXPECT_LT(relative_difference(watched, before), 1e-5);
  EXPECT_TRUE(seen.gradients.empty());
  model.context().watcher = nullptr;
  EXPECT_EQ(values_of(model(ids(7)).array()), before);
}

}  // namespace
}  // namespace folio

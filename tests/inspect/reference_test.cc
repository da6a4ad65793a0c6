// What folio shows inside a model, against PyTorch's with hooks (tests/reference/make_inspect.py).
#include <gtest/gtest.h>

#include <fstream>

#include "inspect/backward_pass.h"
#include "inspect/logit_lens.h"
#include "tests/paths.h"
#include "tests/reference/model_of.h"

namespace folio {
namespace {

using nlohmann::json;

constexpr double close = 1e-5;

class PyTorchInside : public testing::TestWithParam<size_t> {
 protected:
  json expected = [] {
    std::ifstream in(source_path("tests/reference/inspect.json"));
    return json::parse(in).at("cases").at(GetParam());
  }();
  std::unique_ptr<Gpt> model = reference::model_of(expected);
  std::vector<int32_t> text = to_vector<int32_t>(reference::tokens_of(expected.at("text")));
};

TEST_P(PyTorchInside, Attention) {
  const Captures seen = capture(*model, text);
  for (int64_t layer = 0; layer < model->config().n_layer; ++layer) {
    const json& theirs = expected.at("attention").at(size_t(layer));
    const std::vector<float>& ours = seen.at(layer, "attn.probabilities").values;
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i)
      ASSERT_NEAR(ours[i], theirs[i].get<double>(), close) << "layer " << layer << ", " << i;
  }
}

TEST_P(PyTorchInside, LogitLensAndLosses) {
  const LogitLens lens = logit_lens(*model, capture(*model, text), 65);
  for (size_t point = 0; point < lens.points.size(); ++point) {
    const json& next = expected.at("lens_next").at(lens.points[point]);
    const json& best = expected.at("lens_best").at(lens.points[point]);
    for (size_t t = 0; t + 1 < text.size(); ++t) {
      EXPECT_NEAR(lens.probability[point][t], next[t].get<double>(), close) << lens.points[point];
      EXPECT_EQ(lens.top[point][t][0].id, best[t].get<int>()) << lens.points[point] << t;
    }
  }
  for (size_t t = 0; t + 1 < text.size(); ++t)
    EXPECT_NEAR(lens.loss[t], expected.at("losses")[t].get<double>(), close);
}

TEST_P(PyTorchInside, Gradients) {
  const BackwardPass pass = backward_pass(*model, text);
  EXPECT_NEAR(pass.loss, expected.at("loss").get<double>(), close);
  for (const ParameterStep& p : pass.parameters)
    EXPECT_NEAR(p.gradient_norm, expected.at("gradients").at(p.name).at("norm").get<double>(),
                close)
        << p.name;
  const std::map<std::string, double> points(pass.points.begin(), pass.points.end());
  for (const auto& [point, norm] : expected.at("stream_gradients").items())
    EXPECT_NEAR(points.at("transformer." + point), norm.get<double>(), close) << point;
  capture_step(*model, text);
  model->parameters([&](const std::string& name, Parameter& p) {
    const std::vector<float> ours = to_vector<float>(p.grad());
    const json& theirs = expected.at("gradients").at(name);
    for (size_t i = 0; i < theirs.at("at").size(); ++i)
      EXPECT_NEAR(ours.at(theirs.at("at")[i].get<size_t>()), theirs.at("values")[i].get<double>(),
                  close)
          << name;
  });
}

INSTANTIATE_TEST_SUITE_P(Cases, PyTorchInside, testing::Values(size_t(0), size_t(1)));

}  // namespace
}  // namespace folio

// Every op's forward and gradients against PyTorch's figures in f64 (tests/reference/ops.json).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/ops.h"
#include "tests/device.h"
#include "tests/paths.h"
#include "tests/reference/values.h"

namespace folio {
namespace {

using nlohmann::json;

// Read once: each test of the program is a process of its own, and each asks for every name.
const json& cases() {
  static const json all = [] {
    std::ifstream in(source_path("tests/reference/ops.json"));
    return json::parse(in).at("ops");
  }();
  return all;
}

Shape shape_of(const json& spec) {
  auto dims = spec.at("shape").get<std::vector<int64_t>>();
  return Shape(std::span<const int64_t>(dims));
}

// A case's inputs, made once each and looked up by name.
class Inputs {
 public:
  explicit Inputs(const json& specs) : specs_(specs) {}
  // Undefined for an input that the case does not have.
  Tensor operator[](const std::string& name) {
    if (!specs_.contains(name)) return {};
    if (!leaves_.contains(name)) leaves_[name] = Tensor::leaf(floats(specs_.at(name)));
    return leaves_[name];
  }
  static Array floats(const json& spec) {
    Shape shape = shape_of(spec);
    return to_array(reference::values<double>(spec.at("seed"), size_t(shape.size()),
                                              spec.at("scale"), spec.at("offset")),
                    shape);
  }
  // Ids; with a vocabulary one larger than the model's, the last id stands for -1, "ignored".
  Array ids(const std::string& name, int64_t V) {
    const json& spec = specs_.at(name);
    Shape shape = shape_of(spec);
    auto tokens = reference::tokens(spec.at("seed"), size_t(shape.size()), spec.at("vocab"));
    for (int32_t& token : tokens) token = token == V ? -1 : token;
    return to_array(tokens, shape);
  }

 private:
  const json& specs_;
  std::map<std::string, Tensor> leaves_;
};

// The ops that have a functor, by its name; undefined for another op.
Tensor run_functor(const std::string& op, Inputs& in) {
  Tensor y;
  for_each_op<UnaryOps>([&](auto f) {
    if (op == f.name) y = elementwise<decltype(f)>(in["x"]);
  });
  for_each_op<BinaryOps>([&](auto f) {
    if (op == f.name) y = elementwise<decltype(f)>(in["a"], in["b"]);
  });
  return y;
}

Tensor run_plain(const std::string& op, const json& attributes, Inputs& in) {
  auto flag = [&](const char* name) { return attributes.at(name).get<bool>(); };
  auto number = [&](const char* name) { return attributes.at(name).get<int>(); };
  if (op == "scale") return scale(in["x"], attributes.at("factor"));
  if (op == "matmul") return matmul(in["a"], in["b"], {flag("transpose_a"), flag("transpose_b")});
  if (op == "sum") return sum(in["x"], number("axis"), flag("keepdim"));
  if (op == "mean") return mean(in["x"], number("axis"), flag("keepdim"));
  if (op == "max") return max(in["x"], number("axis"), flag("keepdim"));
  if (op == "softmax") return softmax(in["x"]);
  if (op == "log_softmax") return log_softmax(in["x"]);
  if (op == "causal_mask") return softmax(causal_mask(in["x"]));
  if (op == "rms_norm") return rms_norm(in["x"], in["w"], attributes.at("eps"));
  if (op == "reshape") return reshape(in["x"], shape_of(attributes));
  if (op == "transpose") return transpose(in["x"], number("i"), number("j"));
  if (op == "slice") return slice(in["x"], number("axis"), number("begin"), number("end"));
  if (op == "concat") return concat({in["a"], in["b"]}, number("axis"));
  if (op == "take_rows") return take_rows(in["x"], in.ids("ids", -1));
  if (op == "cross_entropy") return cross_entropy(in["x"], in.ids("targets", in["x"].dim(-1)));
  return {};
}

// Without n_kv_head each head has keys of its own.
Heads heads_of(const json& attributes, const Tensor& qkv) {
  const int64_t H = attributes.at("n_head"), shared = attributes.value("n_kv_head", H);
  return {H, shared, qkv.dim(2) / (H + 2 * shared), attributes.value("window", int64_t{0})};
}

Tensor run_rotary(const json& attributes, Inputs& in) {
  const Tensor qkv = in["qkv"];
  const Heads heads = heads_of(attributes, qkv);
  const std::vector<int32_t> first(size_t(qkv.dim(0)), attributes.at("first"));
  const Array table = test_backend()->rotary.table(
      to_array(first, {qkv.dim(0)}), qkv.dim(1), heads.width, {attributes.at("theta")}, DType::f64);
  const QkNorm norm{attributes.contains("eps"), attributes.value("eps", 0.0), in["q_norm"],
                    in["k_norm"]};
  return rotary(qkv, heads, norm, table);
}

Tensor run_fused(const std::string& op, const json& attributes, Inputs& in) {
  if (op == "linear") return linear(in["x"], in["w"], in["b"]);
  if (op == "layer_norm")
    return layer_norm(in["x"], in["w"], in["b"], in["x"].dtype(), attributes.at("eps"));
  if (op == "attention") return attention(in["qkv"], heads_of(attributes, in["qkv"]), {});
  if (op == "rotary") return run_rotary(attributes, in);
  if (op == "softcap") return softcap(in["x"], attributes.at("cap"));
  if (op == "swiglu") return swiglu(in["x"]);
  if (op == "embedding") return embedding(in.ids("tokens", -1), in["wte"], in["wpe"], DType::f64);
  if (op == "linear_cross_entropy")
    return linear_cross_entropy(in["x"], in["w"], in.ids("targets", in["w"].dim(0)), 1,
                                attributes.value("cap", 0.0));
  if (op == "feed_forward") {
    const Activation act = Activation::named(attributes.at("act").get<std::string>());
    return feed_forward(in["x"], in["w_fc"], in["b_fc"], in["w_proj"], in["b_proj"], act);
  }
  return {};
}

Tensor run(const json& c, Inputs& in) {
  std::string op = c.at("op");
  const json& attributes = c.at("attributes");
  Tensor y = run_functor(op, in);
  if (!y.defined()) y = run_plain(op, attributes, in);
  if (!y.defined()) y = run_fused(op, attributes, in);
  check(y.defined(), "ops.json has op {}, this test does not", op);
  return y;
}

void expect_close(const Array& got, const json& expected, const std::string& name) {
  std::vector<double> values = to_vector<double>(got);
  ASSERT_EQ(values.size(), expected.size()) << name;
  for (size_t i = 0; i < values.size(); ++i) {
    double wanted = expected[i];
    EXPECT_NEAR(values[i], wanted, 1e-11 * std::max(1.0, std::abs(wanted))) << name << " " << i;
  }
}

class Reference : public testing::TestWithParam<size_t> {};

TEST_P(Reference, MatchesPyTorch) {
  json c = cases().at(GetParam());
  Inputs in(c.at("inputs"));
  Tensor y = run(c, in);
  expect_close(y.array(), c.at("y"), "y");
  // sum(y dy), so that backward() starts from PyTorch's upstream gradient.
  Array dy = Inputs::floats(c.at("dy"));
  record(zeros({}, DType::f64), {y}, [dy](Array) { return std::vector<Array>{dy}; }).backward();
  for (const auto& [name, grad] : c.at("grads").items()) {
    ASSERT_TRUE(in[name].grad().defined()) << name;
    expect_close(in[name].grad(), grad, name);
  }
}

INSTANTIATE_TEST_SUITE_P(PyTorch, Reference, testing::Range(size_t{0}, cases().size()),
                         [](const auto& info) {
                           json c = cases().at(info.param);
                           return c.at("op").template get<std::string>() + "_" +
                                  c.at("variant").template get<std::string>();
                         });

}  // namespace
}  // namespace folio

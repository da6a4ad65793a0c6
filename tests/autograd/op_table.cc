#include "tests/autograd/op_table.h"

#include <cmath>

#include "tests/device.h"

namespace folio {
namespace {

using Inputs = std::vector<Tensor>;

Dropout a_dropout() { return Dropout::with(0.3, {7, 3}); }

Array ids(std::vector<int32_t> values, Shape shape) { return to_array(values, shape); }

// Those of core/unary_ops.h: a function that is not a number at -1 is one of positive numbers.
void add_unary_rows(std::vector<OpRow>& table) {
  for_each_op<UnaryOps>([&](auto op) {
    using Op = decltype(op);
    table.push_back({std::string(Op::name),
                     {{40}},
                     [](const Inputs& in) { return elementwise<Op>(in[0]); },
                     std::isnan(Op::value(-1.0))});
  });
}

// Each of those applied by a product to its result.
void add_activation_rows(std::vector<OpRow>& table) {
  for_each_op<UnaryOps>([&](auto op) {
    const Unary act = unary<decltype(op)>();
    const std::string variant = act == gelu_erf_op ? "" : fmt::format(":{}", op.name);
    const bool positive = !is_activation(act);
    table.push_back({fmt::format("linear:{}", op.name),
                     {{6, 7}, {5, 7}, {5}},
                     [act](const Inputs& in) { return linear(in[0], in[1], in[2], act); },
                     positive});
    table.push_back(
        {"feed_forward" + variant,
         {{2, 3, 4}, {16, 4}, {16}, {4, 16}, {4}},
         [act](const Inputs& in) { return feed_forward(in[0], in[1], in[2], in[3], in[4], act); },
         positive});
  });
}

// Those of core/binary_ops.h, for each way in which two shapes can go together.
void add_binary_rows(std::vector<OpRow>& table) {
  const std::vector<std::pair<std::string, std::vector<Shape>>> shapes{
      {"", {{3, 5}, {3, 5}}},           {":row", {{2, 3, 4}, {4}}},
      {":column", {{3, 1}, {2, 3, 4}}}, {":outer", {{3, 1}, {1, 4}}},
      {":middle", {{2, 1, 3}, {4, 1}}}, {":scalar", {{2, 3}, {}}},
      {":ends", {{2, 3, 1}, {1, 3, 5}}}};
  for_each_op<BinaryOps>([&](auto op) {
    using Op = decltype(op);
    for (const auto& [variant, inputs] : shapes)
      table.push_back({std::string(Op::name) + variant, inputs,
                       [](const Inputs& in) { return elementwise<Op>(in[0], in[1]); },
                       std::isinf(Op::value(1.0, 0.0))});
  });
}

void add_matmul_rows(std::vector<OpRow>& table) {
  auto flipped = [](Shape shape, bool flip) {
    if (flip) std::swap(shape[-1], shape[-2]);
    return shape;
  };
  const std::vector<std::pair<std::string, std::vector<Shape>>> shapes{
      {"", {{3, 4}, {4, 5}}},
      {":batch", {{2, 3, 3, 4}, {2, 3, 4, 5}}},
      {":one_a", {{3, 4}, {2, 4, 5}}},
      {":one_b", {{2, 3, 4}, {4, 5}}}};
  for (const auto& [variant, inputs] : shapes) {
    for (MatmulOptions options : {MatmulOptions{}, {true, false}, {false, true}, {true, true}}) {
      std::string name = "matmul" + variant;
      if (options.transpose_a) name += ":a";
      if (options.transpose_b) name += ":b";
      table.push_back(
          {name,
           {flipped(inputs[0], options.transpose_a), flipped(inputs[1], options.transpose_b)},
           [options](const Inputs& in) { return matmul(in[0], in[1], options); }});
    }
  }
}

std::vector<OpRow> rows_over_axes() {
  return {
      {"sum", {{2, 3, 4}}, [](auto& in) { return sum(in[0], 1); }},
      {"sum:last", {{2, 3, 4}}, [](auto& in) { return sum(in[0], -1, true); }},
      {"sum:first", {{2, 3, 4}}, [](auto& in) { return sum(in[0], 0); }},
      {"mean", {{2, 3, 4}}, [](auto& in) { return mean(in[0], 1, true); }},
      {"mean:last", {{2, 3, 4}}, [](auto& in) { return mean(in[0], -1); }},
      {"max", {{2, 3, 4}}, [](auto& in) { return max(in[0], 1); }},
      {"max:last", {{2, 3, 4}}, [](auto& in) { return max(in[0], -1, true); }},
      {"max:first", {{2, 3, 4}}, [](auto& in) { return max(in[0], 0); }},
      {"softmax", {{2, 3, 17}}, [](auto& in) { return softmax(in[0]); }},
      {"log_softmax", {{2, 3, 17}}, [](auto& in) { return log_softmax(in[0]); }},
      {"causal_mask", {{2, 4, 4}}, [](auto& in) { return softmax(causal_mask(in[0])); }},
      {"causal_mask:past", {{2, 3, 5}}, [](auto& in) { return softmax(causal_mask(in[0])); }},
  };
}

std::vector<OpRow> rows_of_shapes() {
  return {
      {"reshape",
       {{2, 3, 4}},
       [](auto& in) {
         return reshape(in[0], {4, 6});
       }},
      {"transpose", {{2, 3, 4}}, [](auto& in) { return transpose(in[0], 1, 2); }},
      {"transpose:runs", {{2, 3, 4, 5}}, [](auto& in) { return transpose(in[0], 2, 1); }},
      {"transpose:far", {{2, 3, 4, 5}}, [](auto& in) { return transpose(in[0], 0, -1); }},
      {"transpose:same", {{2, 3}}, [](auto& in) { return transpose(in[0], 1, -1); }},
      {"slice", {{2, 6, 4}}, [](auto& in) { return slice(in[0], 1, 2, 5); }},
      {"slice:last", {{2, 3, 7}}, [](auto& in) { return slice(in[0], -1, 0, 3); }},
      {"concat",
       {{2, 3, 4}, {2, 1, 4}},
       [](auto& in) {
         return concat({in[0], in[1]}, 1);
       }},
      {"concat:last",
       {{2, 3}, {2, 4}},
       [](auto& in) {
         return concat({in[0], in[1], in[0]}, -1);
       }},
      {"take_rows",
       {{5, 4}},
       [](auto& in) {
         return take_rows(in[0], ids({4, 0, 2, 4, 4, 1}, {3, 2}));
       }},
  };
}

std::vector<OpRow> rows_of_losses() {
  return {
      {"cross_entropy",
       {{2, 3, 11}},
       [](auto& in) {
         return cross_entropy(in[0], ids({0, 10, -1, 4, 4, 2}, {2, 3}));
       }},
      {"linear_cross_entropy",
       {{2, 3, 6}, {11, 6}},
       [](auto& in) {
         return linear_cross_entropy(in[0], in[1], ids({0, 10, -1, 4, 4, 2}, {2, 3}));
       }},
      {"linear_cross_entropy:factor",
       {{4, 6}, {11, 6}},
       [](auto& in) {
         return linear_cross_entropy(in[0], in[1], ids({0, 10, 3, 4}, {4}), 0.25);
       }},
      {"linear_cross_entropy:softcap",
       {{2, 3, 6}, {11, 6}},
       [](auto& in) {
         return linear_cross_entropy(in[0], in[1], ids({0, 10, -1, 4, 4, 2}, {2, 3}), 0.5, 3);
       }},
      {"linear_cross_entropy:scaled",
       {{4, 6}, {11, 6}},
       [](auto& in) {
         return scale(linear_cross_entropy(in[0], in[1], ids({0, 10, 3, 4}, {4})), 0.25);
       }},
  };
}

// Of residual, x, w and b: both results, so that each has a gradient of its own.
Tensor both_of_normed_residual(const Inputs& in, const Dropout& dropout) {
  auto [sum, normed] = add_dropout_norm(in[0], in[1], dropout, in[2], in[3]);
  return concat({sum, normed}, -1);
}

std::vector<OpRow> rows_of_normed_residuals() {
  const std::vector<Shape> shapes{{2, 3, 10}, {2, 3, 10}, {10}, {10}};
  return {
      {"add_dropout_norm", shapes,
       [](auto& in) { return both_of_normed_residual(in, a_dropout()); }},
      {"add_dropout_norm:off", shapes, [](auto& in) { return both_of_normed_residual(in, {}); }},
      {"add_dropout_norm:sum",
       {{2, 3, 10}, {2, 3, 10}},
       [](auto& in) {
         const Tensor w = full({10}, 1, in[0].dtype(), test_device());
         return add_dropout_norm(in[0], in[1], a_dropout(), w, {}).sum;
       }},
      {"add_dropout_norm:normed", shapes,
       [](auto& in) { return add_dropout_norm(in[0], in[1], a_dropout(), in[2], in[3]).normed; }},
      // As in a model: one way goes on from the norm, which is made again, the other around it.
      {"add_dropout_norm:around",
       {{2, 3, 16}, {2, 3, 16}, {16}, {16}, {16, 16}},
       [](auto& in) {
         auto [sum, normed] = add_dropout_norm(in[0], in[1], a_dropout(), in[2], in[3]);
         return add_dropout(sum, linear(normed, in[4], {}), a_dropout());
       }},
      {"add_dropout_norm:rms",
       {{2, 3, 10}, {2, 3, 10}, {10}},
       [](auto& in) {
         auto [sum, normed] =
             add_dropout_norm(in[0], in[1], a_dropout(), in[2], {}, {NormKind::rms, 0.1});
         return concat({sum, normed}, -1);
       }},
      {"add_dropout_norm:rms_no_weight",
       {{2, 3, 10}, {2, 3, 10}},
       [](auto& in) {
         return add_dropout_norm(in[0], in[1], a_dropout(), {}, {}, {NormKind::rms, 0.1}).normed;
       }},
  };
}

std::vector<OpRow> rows_of_norms() {
  const Norm rms{NormKind::rms, 0.1};
  return {
      {"layer_norm",
       {{2, 3, 10}, {10}, {10}},
       [](auto& in) { return layer_norm(in[0], in[1], in[2], in[0].dtype()); }},
      {"layer_norm:remade",
       {{2, 3, 10}, {10}, {4, 10}},
       [](auto& in) { return linear(layer_norm(in[0], in[1], {}, in[0].dtype()), in[2], {}); }},
      {"layer_norm:no_weight",
       {{2, 3, 10}},
       [](auto& in) { return layer_norm(in[0], {}, {}, in[0].dtype()); }},
      {"rms_norm", {{2, 3, 10}, {10}}, [](auto& in) { return rms_norm(in[0], in[1]); }},
      {"rms_norm:no_weight", {{2, 3, 10}}, [](auto& in) { return rms_norm(in[0], {}, 0.1); }},
      {"rms_norm:remade",
       {{2, 3, 40}, {40}, {4, 40}},
       [rms](auto& in) { return linear(norm(in[0], in[1], {}, rms, in[0].dtype()), in[2], {}); }},
  };
}

// Four heads of 6 that share two of keys, for T positions.
std::vector<OpRow> rows_of_attention() {
  const Heads pairs{4, 2, 6}, window{4, 2, 6, 3};
  auto table = [](const Tensor& x, int64_t T, const Array& positions = {}) {
    return test_backend()->rotary.table(positions, T, 6, {100},
                                        x.dtype() == DType::f64 ? DType::f64 : DType::f32);
  };
  return {
      {"attention",
       {{2, 7, 24}},
       [](auto& in) { return attention(in[0], Heads::alike(8, 2), {}); }},
      {"attention:dropout",
       {{2, 9, 24}},
       [](auto& in) { return attention(in[0], Heads::alike(8, 2), a_dropout()); }},
      {"attention:shared", {{2, 7, 48}}, [=](auto& in) { return attention(in[0], pairs, {}); }},
      {"attention:window",
       {{2, 9, 48}},
       [=](auto& in) { return attention(in[0], window, a_dropout()); }},
      {"rotary", {{2, 3, 48}}, [=](auto& in) { return rotary(in[0], pairs, {}, table(in[0], 3)); }},
      {"rotary:positions",
       {{2, 3, 48}},
       [=](auto& in) {
         return rotary(in[0], pairs, {}, table(in[0], 3, ids({5, 0}, {2})));
       }},
      {"rotary:norm",
       {{2, 3, 48}, {6}, {6}},
       [=](auto& in) {
         return rotary(in[0], pairs, {true, 0.1, in[1], in[2]}, table(in[0], 3));
       }},
      {"rotary:no_weight",
       {{2, 3, 48}},
       [=](auto& in) {
         return rotary(in[0], pairs, {true, 0.1, {}, {}}, table(in[0], 3));
       }},
      {"rotary:norm_alone",
       {{2, 3, 48}, {6}, {6}},
       [=](auto& in) {
         return rotary(in[0], pairs, {true, 0.1, in[1], in[2]}, {});
       }},
      // As in a model: attention makes what it was given again.
      {"rotary:attention",
       {{2, 5, 48}, {6}, {6}},
       [=](auto& in) {
         return attention(rotary(in[0], pairs, {true, 0.1, in[1], in[2]}, table(in[0], 5)), window,
                          {});
       }},
  };
}

std::vector<OpRow> rows_of_fused_ops() {
  return {
      {"add:twice", {{3, 5}}, [](auto& in) { return add(in[0], in[0]); }},
      {"scale", {{3, 5}}, [](auto& in) { return scale(in[0], -1.75); }},
      // Linear, and rounded to f32 on the way: a long step.
      {"cast",
       {{4}},
       [](auto& in) { return cast(cast(in[0], DType::f32), DType::f64); },
       false,
       64,
       1e-7},
      {"add_dropout",
       {{5, 9}, {5, 9}},
       [](auto& in) { return add_dropout(in[0], in[1], a_dropout()); }},
      {"add_dropout:alone", {{5, 9}}, [](auto& in) { return add_dropout({}, in[0], a_dropout()); }},
      {"add_dropout:off", {{5, 9}, {5, 9}}, [](auto& in) { return add_dropout(in[0], in[1], {}); }},
      {"linear", {{2, 3, 7}, {5, 7}, {5}}, [](auto& in) { return linear(in[0], in[1], in[2]); }},
      {"linear:no_bias", {{6, 7}, {5, 7}}, [](auto& in) { return linear(in[0], in[1], {}); }},
      {"swiglu", {{2, 3, 14}}, [](auto& in) { return swiglu(in[0]); }},
      {"softcap", {{40}}, [](auto& in) { return softcap(in[0], 2.5); }},
      {"feed_forward:swiglu",
       {{2, 3, 4}, {12, 4}, {12}, {4, 6}, {4}},
       [](auto& in) {
         return feed_forward(in[0], in[1], in[2], in[3], in[4], Activation::swiglu());
       }},
      {"embedding:no_positions",
       {{6, 4}},
       [](auto& in) {
         return embedding(ids({1, 5, 1, 0, 2, 1}, {2, 3}), in[0], {}, in[0].dtype());
       }},
      {"embedding",
       {{6, 4}, {5, 4}},
       [](auto& in) {
         return embedding(ids({1, 5, 1, 0, 2, 1}, {2, 3}), in[0], in[1], in[0].dtype());
       }},
      {"recompute",
       {{3, 4}},
       [](auto& in) { return recompute([](auto& x) { return square(x); }, in[0]); }},
      {"recompute:leaves",
       {{3, 4}, {5, 4}, {5}},
       [](auto& in) {
         return recompute([=](const Tensor& x) { return linear(x, in[1], in[2]); }, in[0]);
       }},
      {"recompute:twice",
       {{3, 4}, {4, 4}},
       [](auto& in) {
         auto f = [=](const Tensor& x) { return add(x, gelu_erf(linear(x, in[1], {}))); };
         return recompute(f, recompute(f, in[0]));
       }},
  };
}

}  // namespace

std::vector<OpRow> op_table() {
  std::vector<OpRow> table;
  add_unary_rows(table);
  add_activation_rows(table);
  add_binary_rows(table);
  add_matmul_rows(table);
  for (auto& group : {rows_over_axes(), rows_of_shapes(), rows_of_losses(), rows_of_fused_ops(),
                      rows_of_normed_residuals(), rows_of_norms(), rows_of_attention()})
    table.insert(table.end(), group.begin(), group.end());
  return table;
}

}  // namespace folio

// What the optimiser keeps beside the weights: under bf16 their rounded values, for the next pass.
#include "train/optimizer/adamw.h"

#include <gtest/gtest.h>

#include <map>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {
namespace {

using Weights = std::map<std::string, std::vector<float>>;

std::vector<float> in_f32(const Array& x) {
  return to_vector<float>(backend(x)->elementwise.cast(x, DType::f32));
}

// Five steps of two micro-batches in bf16; `between` is called after each.
Weights trained(const std::function<void(Gpt&)>& between) {
  Gpt model({.block_size = 8, .vocab_size = 17, .n_layer = 2, .n_head = 2, .n_embd = 32},
            test_device(), 1);
  model.context().dtype = DType::bf16;
  AdamW optimizer(model, {});
  for (int32_t step = 0; step < 5; ++step) {
    for (int32_t micro = 0; micro < 2; ++micro) {
      std::vector<int32_t> x;
      for (int32_t i = 0; i < 16; ++i) x.push_back((i * i + 3 * step + micro) % 17);
      std::vector<int32_t> y(x.rbegin(), x.rend());
      model.loss(to_array(x, {2, 8}), to_array(y, {2, 8}), 0.5).backward();
    }
    optimizer.step({1e-2});
    optimizer.zero_grad();
    between(model);
  }
  Weights weights;
  model.parameters(
      [&](const std::string& name, Parameter& p) { weights[name] = to_vector<float>(p.array()); });
  return weights;
}

TEST(AdamWOfAModel, KeepsTheRoundedMatricesUpToDate) {
  int matrices = 0;
  const Weights kept = trained([&](Gpt& model) {
    matrices = 0;
    model.parameters([&](const std::string& name, Parameter& p) {
      const Array copy = p.kept_copy();
      if (!copy.defined()) return;
      ++matrices;
      EXPECT_EQ(in_f32(copy), in_f32(backend(p.array())->elementwise.cast(p.array(), DType::bf16)))
          << name;
    });
  });
  EXPECT_EQ(matrices, 2 * 4 + 1);  // four of a block, and the head
  // The same bytes as if each pass rounded them: values that are assigned are new to it.
  EXPECT_EQ(
      trained([](Gpt& model) {
        model.parameters([](const std::string&, Parameter& p) { p.assign(Array(p.array())); });
      }),
      kept);
}

}  // namespace
}  // namespace folio

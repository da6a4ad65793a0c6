#include "nn/gpt.h"
#include "tests/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace folio {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

GptConfig small() {
  return {.block_size = 8, .vocab_size = 11, .n_layer = 2, .n_head = 2, .n_embd = 16, .bias = true};
}

Array tokens(int64_t B, int64_t T, int64_t V = 11) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < B * T; ++i) ids.push_back(int32_t((i * 7 + 3) % V));
  return to_array(ids, {B, T});
}

TEST(Gpt, ParametersHaveHuggingFacesNamesAndShapes) {
  Gpt model(small(), test_device(), 1);
  std::map<std::string, Shape> shapes;
  model.parameters([&](const std::string& name, Parameter& p) { shapes[name] = p.shape(); });
  EXPECT_EQ(shapes.size(), 2u + 2 * 12 + 2);
  EXPECT_EQ(shapes.at("transformer.wte.weight"), (Shape{11, 16}));
  EXPECT_EQ(shapes.at("transformer.wpe.weight"), (Shape{8, 16}));
  EXPECT_EQ(shapes.at("transformer.h.0.attn.c_attn.weight"), (Shape{48, 16}));
  EXPECT_EQ(shapes.at("transformer.h.1.attn.c_attn.bias"), (Shape{48}));
  EXPECT_EQ(shapes.at("transformer.h.1.attn.c_proj.weight"), (Shape{16, 16}));
  EXPECT_EQ(shapes.at("transformer.h.1.mlp.c_fc.weight"), (Shape{64, 16}));
  EXPECT_EQ(shapes.at("transformer.h.1.mlp.c_proj.weight"), (Shape{16, 64}));
  EXPECT_EQ(shapes.at("transformer.h.0.ln_1.weight"), (Shape{16}));
  EXPECT_EQ(shapes.at("transformer.h.0.ln_2.bias"), (Shape{16}));
  EXPECT_EQ(shapes.at("transformer.ln_f.weight"), (Shape{16}));
}

// nanoGPT prints "number of parameters: 10.65M" and, for its CPU recipe, "0.80M".
TEST(Gpt, CountsParametersAsNanoGptDoes) {
  Gpt full({.block_size = 256,
            .vocab_size = 65,
            .n_layer = 6,
            .n_head = 6,
            .n_embd = 384,
            .dropout = 0.2,
            .bias = false},
           test_device(), 1);
  EXPECT_EQ(full.num_params(), 10646784);
  EXPECT_EQ(full.num_params(false), 10646784 + 256 * 384);
  Gpt cpu_recipe(
      {.block_size = 64, .vocab_size = 65, .n_layer = 4, .n_head = 4, .n_embd = 128, .bias = false},
      test_device(), 1);
  EXPECT_EQ(cpu_recipe.num_params(), 795904);
}

TEST(Gpt, StartsWithNanoGptsDeviations) {
  Gpt model(
      {.block_size = 64, .vocab_size = 512, .n_layer = 8, .n_head = 4, .n_embd = 128, .bias = true},
      test_device(), 3);
  model.parameters([](const std::string& name, Parameter& p) {
    std::vector<float> w = to_vector<float>(p.array());
    double mean = 0, square = 0;
    for (float value : w) mean += value / double(w.size()), square += value * value;
    double deviation = std::sqrt(square / double(w.size()) - mean * mean);
    if (p.shape().rank() == 2) {
      double expected = name.ends_with("c_proj.weight") ? 0.02 / 4 : 0.02;
      EXPECT_NEAR(deviation, expected, 0.05 * expected) << name;
      EXPECT_NEAR(mean, 0, 0.05 * expected) << name;
    } else {
      EXPECT_EQ(mean, name.ends_with("bias") ? 0 : 1) << name;
    }
  });
}

// The rest is what the same seed gives without it.
TEST(Gpt, BlocksCanStartAsTheIdentity) {
  GptConfig config = small();
  Gpt scaled(config, test_device(), 3);
  config.residual_init = "zero";
  Gpt zero(config, test_device(), 3);
  std::map<std::string, std::vector<float>> of_scaled;
  scaled.parameters([&](const std::string& name, Parameter& p) {
    of_scaled[name] = to_vector<float>(p.array());
  });
  zero.parameters([&](const std::string& name, Parameter& p) {
    std::vector<float> expected = of_scaled.at(name);
    if (name.ends_with("c_proj.weight")) std::ranges::fill(expected, 0.0f);
    EXPECT_EQ(to_vector<float>(p.array()), expected) << name;
  });
  NoGrad no_grad;
  const Tensor x = zero.embed(tokens(2, 5));
  EXPECT_EQ(to_vector<float>(zero.blocks(x).value().array()), to_vector<float>(x.array()));
}

TEST(Gpt, APositionSeesNothingAfterIt) {
  Gpt model(small(), test_device(), 1);
  NoGrad no_grad;
  std::vector<int32_t> ids{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> before = to_vector<float>(model(to_array(ids, {1, 8})).array());
  ids[5] = 0;
  std::vector<float> after = to_vector<float>(model(to_array(ids, {1, 8})).array());
  for (size_t i = 0; i < 5 * 11; ++i) EXPECT_EQ(before[i], after[i]) << i;
  EXPECT_NE(std::vector(before.begin() + 55, before.end()),
            std::vector(after.begin() + 55, after.end()));
}

TEST(Gpt, DropoutIsOnInTrainingAlone) {
  GptConfig config = small();
  config.dropout = 0.5;
  Gpt model(config, test_device(), 1);
  NoGrad no_grad;
  auto loss = [&] { return item(model.loss(tokens(4, 8), tokens(4, 8)).array()); };
  EXPECT_EQ(loss(), loss());
  model.context().training = true;
  EXPECT_NE(loss(), loss());
}

TEST(Gpt, CropBlockSizeKeepsTheFirstPositions) {
  Gpt model(small(), test_device(), 1);
  NoGrad no_grad;
  std::vector<float> whole = to_vector<float>(model(tokens(1, 4)).array());
  model.crop_block_size(4);
  EXPECT_EQ(whole, to_vector<float>(model(tokens(1, 4)).array()));
  EXPECT_THAT([&] { model(tokens(1, 5)); }, ThrowsMessage<Error>(HasSubstr("block_size is 4")));
  EXPECT_THROW(model.crop_block_size(5), Error);
}

TEST(Gpt, ConfigurationsThatCannotBeAreErrors) {
  GptConfig config = small();
  config.n_head = 3;
  EXPECT_THAT([&] { Gpt(config, test_device(), 1); },
              ThrowsMessage<Error>(HasSubstr("n_embd 16 is not divisible by n_head 3")));
  config = small();
  config.dropout = 1;
  EXPECT_THROW(Gpt(config, test_device(), 1), Error);
  config = small();
  config.n_layer = 0;
  EXPECT_THROW(Gpt(config, test_device(), 1), Error);
  for (int64_t GptConfig::*size :
       {&GptConfig::n_embd, &GptConfig::vocab_size, &GptConfig::block_size, &GptConfig::n_layer}) {
    config = small();
    config.*size = int64_t{1} << 62;
    EXPECT_THAT([&] { Gpt(config, test_device(), 1); },
                ThrowsMessage<Error>(HasSubstr("than can be counted")));
  }
}

TEST(Gpt, MoreTokensThanTheCacheHoldsAreRefused) {
  Gpt model(small(), test_device(), 1);
  NoGrad no_grad;
  KvCache cache = model.make_cache(2, 4);
  model(tokens(2, 3), &cache);
  EXPECT_THAT([&] { model(tokens(2, 2), &cache); },
              ThrowsMessage<Error>(HasSubstr("2 tokens after 3: the KV cache holds 4")));
  model(tokens(2, 1), &cache);
  EXPECT_THAT([&] { cache.set_length(0, 5); }, ThrowsMessage<Error>(HasSubstr("cannot hold 5")));
  EXPECT_THROW(cache.set_length(0, -1), Error);
}

TEST(Gpt, AForwardPassBeforeThereAreWeightsIsAnError) {
  Gpt model(small(), test_device());
  Array tokens = zeros({1, 2}, DType::i32);
  EXPECT_THAT([&] { model(tokens); },
              ThrowsMessage<Error>(HasSubstr("draw the weights, or load them")));
  EXPECT_THAT([&] { model.loss(tokens, tokens); },
              ThrowsMessage<Error>(HasSubstr("draw the weights, or load them")));
  model.parameters([](const std::string& name, Parameter& parameter) {
    if (name == "transformer.wte.weight")
      parameter = Parameter::leaf(zeros(parameter.shape(), DType::f32));
  });
  EXPECT_THAT([&] { model(tokens); }, ThrowsMessage<Error>(HasSubstr("embedding: wpe [")));
}

TEST(Gpt, CachedAndPlainForwardAgree) {
  Gpt model(small(), test_device(), 1);
  NoGrad no_grad;
  std::vector<float> plain = to_vector<float>(model(tokens(2, 8)).array());
  KvCache cache = model.make_cache(2);
  std::vector<float> cached = to_vector<float>(model(tokens(2, 8), &cache).array());
  ASSERT_EQ(plain.size(), cached.size());
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(plain[i], cached[i], 1e-5);
  EXPECT_THAT([&] { model(tokens(2, 1), &cache); },
              ThrowsMessage<Error>(HasSubstr("cannot read 1 tokens after 8")));
}

TEST(Gpt, LastOnlyGivesTheLastRowsBits) {
  Gpt model(small(), test_device(), 1);
  model.pack(WeightFormat::f32);
  NoGrad no_grad;
  KvCache every = model.make_cache(2), last = model.make_cache(2);
  std::vector<float> all = to_vector<float>(model(tokens(2, 5), &every).array());
  Array got = model(tokens(2, 5), &last, true).array();
  EXPECT_EQ(got.shape(), (Shape{2, 1, 11}));
  std::vector<float> rows = to_vector<float>(got);
  for (size_t b = 0; b < 2; ++b)
    for (size_t v = 0; v < 11; ++v) EXPECT_EQ(rows[b * 11 + v], all[(b * 5 + 4) * 11 + v]);
  EXPECT_EQ(to_vector<float>(model(tokens(2, 1), &last).array()),
            to_vector<float>(model(tokens(2, 1), &every).array()));

  std::vector<float> plain = to_vector<float>(model(tokens(2, 5), nullptr, true).array());
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_NEAR(plain[i], rows[i], 1e-5);
}

// What a block of so many bytes takes.
size_t in_use(size_t bytes) {
  const size_t before = test_backend()->memory.use().live;
  const Array block({int64_t(bytes)}, DType::i8, test_device());
  return test_backend()->memory.use().live - before;
}

// The memory of a packed model is that of its packed matrices and its vectors.
TEST(Gpt, PackingGivesTheDenseMemoryBack) {
  for (WeightFormat format :
       {WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
    Gpt model(small(), test_device(), 1);
    [[maybe_unused]] const size_t start = test_backend()->memory.use().live;
    model.pack(format);
    size_t matrices = 0, packed = 0;
    model.weights([&](const std::string& name, Weight& weight) {
      EXPECT_FALSE(weight.dense.defined()) << name;
      EXPECT_EQ(weight.shape(), (Shape{weight.packed.n, weight.packed.k})) << name;
      matrices += in_use(size_t(weight.shape().size()) * sizeof(float));
      packed += in_use(weight.packed.data.bytes());
    });
    EXPECT_GT(matrices, 0u);
#if !defined(__SANITIZE_ADDRESS__)  // which puts a zone around every block
    EXPECT_EQ(start - matrices + packed, test_backend()->memory.use().live) << name_of(format);
#endif
  }
}

// Values that arrive after packing are those that count.
TEST(Gpt, AStalePackedWeightIsNeverRead) {
  Gpt model(small(), test_device(), 1), other(small(), test_device(), 2);
  model.pack(WeightFormat::int8);
  std::vector<Tensor> values;
  other.parameters([&](const std::string&, Parameter& p) { values.push_back(p); });
  size_t i = 0;
  model.parameters([&](const std::string&, Parameter& p) { p = values[i++]; });
  NoGrad no_grad;
  EXPECT_EQ(to_vector<float>(model(tokens(2, 5)).array()),
            to_vector<float>(other(tokens(2, 5)).array()));
  model.pack(WeightFormat::int8);
  other.pack(WeightFormat::int8);
  EXPECT_EQ(to_vector<float>(model(tokens(2, 5)).array()),
            to_vector<float>(other(tokens(2, 5)).array()));
}

TEST(Gpt, APackedModelCannotBeTrained) {
  Gpt model(small(), test_device(), 1);
  model.pack(WeightFormat::int8);
  EXPECT_THAT([&] { model.loss(tokens(1, 4), tokens(1, 4)); },
              ThrowsMessage<Error>(HasSubstr("wte [11, 16] is packed in int8, for inference")));
  EXPECT_THAT([&] { model(tokens(1, 4)); }, ThrowsMessage<Error>(HasSubstr("load the model")));
  EXPECT_THAT([&] { model.pack(WeightFormat::int8); },
              ThrowsMessage<Error>(HasSubstr("packed in int8 already")));
}

TEST(Gpt, RowsOfACacheGoOnByThemselves) {
  Gpt model(small(), test_device(), 1);
  model.pack(WeightFormat::f32);
  NoGrad no_grad;
  KvCache all = model.make_cache(3), alone = model.make_cache(1, 6);
  EXPECT_EQ(alone.capacity, 6);
  model(tokens(3, 4), &all);
  alone.copy_row(all, 1, 0);
  EXPECT_EQ(alone.lengths(), std::vector<int64_t>{4});
  KvCache view = all.rows(1, 2);
  EXPECT_EQ(to_vector<float>(model(tokens(1, 2), &view).array()),
            to_vector<float>(model(tokens(1, 2), &alone).array()));
  EXPECT_EQ(view.length(), 6);
  EXPECT_EQ(all.length(), 4);
}

TEST(Gpt, TheCacheIsForInferenceAlone) {
  Gpt model(small(), test_device(), 1);
  KvCache cache = model.make_cache(1);
  EXPECT_THAT([&] { model(tokens(1, 2), &cache); }, ThrowsMessage<Error>(HasSubstr("NoGrad")));
}

// Two steps of training with dropout, each block's activations kept or made again in backward.
struct Trained {
  std::vector<double> losses;
  std::map<std::string, std::vector<float>> gradients;
  uint64_t drawn = 0;
  size_t kept = 0;  // bytes between forward and backward
};
Trained train_two_steps(bool recompute, DType dtype) {
  GptConfig config = small();
  config.n_layer = 6;
  config.dropout = 0.3;
  Gpt model(config, test_device(), 1);
  model.context().training = true;
  model.context().recompute = recompute;
  model.context().dtype = dtype;
  Trained trained;
  for (int step = 0; step < 2; ++step) {
    size_t before = test_backend()->memory.use().live;
    Tensor loss = model.loss(tokens(4, 8), tokens(4, 8));
    trained.kept = test_backend()->memory.use().live - before;
    loss.backward();
    trained.losses.push_back(item(loss.array()));
  }
  model.parameters([&](const std::string& name, Parameter& p) {
    trained.gradients[name] = to_vector<float>(p.grad());
  });
  trained.drawn = model.context().random.drawn;
  return trained;
}

TEST(Gpt, RecomputedBlocksGiveTheSameBitsOutOfLessMemory) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    Trained kept = train_two_steps(false, dtype), recomputed = train_two_steps(true, dtype);
    EXPECT_EQ(kept.losses, recomputed.losses);
    EXPECT_EQ(kept.gradients, recomputed.gradients);
    EXPECT_EQ(kept.drawn, recomputed.drawn);
    EXPECT_NE(kept.losses[0], kept.losses[1]);  // dropout draws anew
    EXPECT_LT(3 * recomputed.kept, kept.kept);
  }
}

}  // namespace
}  // namespace folio

// A cache of another dtype than the model's: its keys and values are rounded, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "autograd/ops.h"
#include "sample/decoder.h"
#include "tests/device.h"
#include "tests/sample/tiny_model.h"

namespace folio {
namespace {

constexpr int64_t H = 2;  // a_model()'s heads

// A head's key or value at one position as a cache of `dtype` keeps it.
void round_as_kept(std::span<float> x, DType dtype) {
  float largest = 0;
  for (float value : x) largest = std::max(largest, std::abs(value));
  const float inverse = 127 / largest, scale = largest / 127;
  for (float& value : x)
    value = dtype == DType::i8 ? std::nearbyint(value * inverse) * scale : float(bfloat16(value));
}

// qkv [1, T, 3 C] with its keys and values so rounded.
Array as_kept(const Array& qkv, DType dtype) {
  std::vector<float> values = to_vector<float>(qkv);
  const size_t C = size_t(qkv.dim(2)) / 3, D = C / size_t(H);
  for (size_t row = 0; row < values.size(); row += 3 * C)
    for (size_t head = C; head < 3 * C; head += D)
      round_as_kept(std::span(values).subspan(row + head, D), dtype);
  return to_array(values, qkv.shape());
}

// Logits after `window` by a packed model of one layer, op by op and without a cache, where what
// attention reads is rounded. A row of a packed product is the same bits in any batch, so the
// numbers that are rounded here are those that the decoder rounds, to the last bit.
std::vector<float> rounded_logits(Gpt& model, const Tokens& window, std::optional<DType> dtype) {
  NoGrad no_grad;
  std::map<std::string, Weight> matrix;
  std::map<std::string, Tensor> vector;
  model.weights([&](const std::string& name, Weight& weight) { matrix[name] = weight; });
  model.parameters([&](const std::string& name, Parameter& p) { vector[name] = p; });
  auto normed = [&](const std::string& name, const Tensor& x) {
    return layer_norm(x, vector.at(name + ".weight"), vector.at(name + ".bias"), DType::f32);
  };
  auto affine = [&](const std::string& name, const Tensor& x) {
    return linear(x, matrix.at(name + ".weight"), vector.at(name + ".bias"));
  };
  const std::string h = "transformer.h.0.";
  const Weight& wte = matrix.at("transformer.wte.weight");
  const Array ids = to_array(window, {1, std::ssize(window)});
  Tensor x = embedding(ids, wte, vector.at("transformer.wpe.weight"), DType::f32);
  Tensor qkv = affine(h + "attn.c_attn", normed(h + "ln_1", x));
  if (dtype) qkv = as_kept(qkv.array(), *dtype);
  x = x + affine(h + "attn.c_proj", attention(qkv, Heads::alike(qkv.dim(2) / 3, H), {}));
  x = x + affine(h + "mlp.c_proj", gelu_erf(affine(h + "mlp.c_fc", normed(h + "ln_2", x))));
  std::vector<float> logits =
      to_vector<float>(linear(normed("transformer.ln_f", x), wte, {}).array());
  return {logits.end() - V, logits.end()};
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double(a[i] - b[i])));
  return largest;
}

// Past block_size too, where windows slide or start again. The bound is that of an f32 cache in
// decoder_test.cc; what rounding does is shown to be far above it.
TEST(CacheDtype, LogitsAreThoseOfRoundedKeysAndValues) {
  auto model = a_model(V, 1);
  for (std::optional<DType> dtype : {std::optional<DType>(), {DType::bf16}, {DType::i8}}) {
    double rounding = 0;
    for (PastBlock past_block : {PastBlock::block, PastBlock::slide}) {
      const ContextWindow window{T, past_block};
      Decoder decoder(*model, {.window = window, .kv_cache_dtype = dtype});
      Tokens tokens = random_tokens(60, 2);
      decoder.add(Tokens{tokens[0]});
      for (int64_t length = 1; length < std::ssize(tokens); ++length) {
        decoder.step();
        const Tokens seen(tokens.begin() + window.start(length), tokens.begin() + length);
        const std::vector<float> expected = rounded_logits(*model, seen, dtype);
        ASSERT_LE(largest_difference(decoder.logits(0), expected), 1e-4) << "length " << length;
        rounding =
            std::max(rounding, largest_difference(rounded_logits(*model, seen, {}), expected));
        decoder.append(0, std::span(tokens).subspan(size_t(length), 1));
      }
    }
    EXPECT_EQ(rounding > 2e-3, dtype.has_value()) << rounding;
  }
}

// One step at a time, or a whole window at once without a cache that is kept.
TEST(CacheDtype, EachHasAStreamOfItsOwn) {
  auto model = a_model();
  for (PastBlock past_block : {PastBlock::block, PastBlock::slide}) {
    const ContextWindow window{T, past_block};
    std::map<std::optional<DType>, std::vector<float>> streams;
    for (std::optional<DType> dtype : {std::optional<DType>(), {DType::bf16}, {DType::i8}}) {
      Decoder decoder(*model, {.window = window, .kv_cache_dtype = dtype});
      Tokens tokens = random_tokens(60, 2);
      decoder.add(Tokens{tokens[0]});
      for (size_t i = 1; i < tokens.size(); ++i) {
        decoder.step();
        const std::vector<float> logits = decoder.logits(0);
        Decoder alone(*model, {.window = window, .kv_cache = false, .kv_cache_dtype = dtype});
        alone.add(decoder.tokens(0));
        alone.step();
        ASSERT_EQ(logits, alone.logits(0)) << i;
        streams[dtype].insert(streams[dtype].end(), logits.begin(), logits.end());
        decoder.append(0, std::span(tokens).subspan(i, 1));
      }
    }
    EXPECT_NE(streams[DType::bf16], streams[{}]);
    EXPECT_NE(streams[DType::i8], streams[{}]);
  }
}

TEST(CacheDtype, EachHasASizeOfItsOwn) {
  auto model = a_model();
  auto bytes = [&](DType dtype) {
    return Decoder(*model, {.window = {T, PastBlock::block}, .kv_cache_dtype = dtype})
        .cache_bytes();
  };
  EXPECT_EQ(2 * bytes(DType::bf16), bytes(DType::f32));
  EXPECT_EQ(16 * bytes(DType::i8), 5 * bytes(DType::f32));  // heads of 16: 64 bytes or 16 + 4
}

}  // namespace
}  // namespace folio

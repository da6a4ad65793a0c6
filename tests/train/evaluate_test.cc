// The loss over whole splits against the same sum written down plainly: for every token, a forward
// pass over the context that its window gives it, and a log-softmax in f64.
#include "train/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

constexpr int64_t T = 8, V = 23;

// A model that is sure of itself: losses differ from token to token and context to context.
std::unique_ptr<Gpt> a_model() {
  auto model = std::make_unique<Gpt>(
      GptConfig{.block_size = T, .vocab_size = V, .n_layer = 2, .n_head = 2, .n_embd = 16},
      test_device(), 3);
  model->parameters([](const std::string&, Parameter& p) {
    if (p.shape().rank() != 2) return;
    Array values = p.array();
    backend(values)->random.normal(values, 0, 0.4, {7, uint64_t(values.size())});
  });
  return model;
}

// `size` tokens in a file, as `folio prepare` writes them.
class Split {
 public:
  Split(const TemporaryFolder& folder, int64_t size) : path_(folder / "split.bin") {
    std::ofstream out(path_, std::ios::binary);
    for (int64_t i = 0; i < size; ++i) {
      ids.push_back(int32_t((i * i * 7 + i / 5) % V));
      out.put(char(ids.back())).put(0);
    }
  }
  TokenFile file() const { return {path_.string(), V}; }

  std::vector<int32_t> ids;

 private:
  std::filesystem::path path_;
};

// -log p of token ids[i] after ids[begin, i).
double nats(Gpt& model, const std::vector<int32_t>& ids, int64_t begin, int64_t i) {
  NoGrad no_grad;
  std::vector<int32_t> context(ids.begin() + begin, ids.begin() + i);
  Array logits = model(to_array(context, {1, i - begin})).array();
  std::vector<float> all = to_vector<float>(logits);
  double sum = 0;
  for (size_t v = all.size() - V; v < all.size(); ++v) sum += std::exp(double(all[v]));
  return std::log(sum) - double(all[all.size() - V + size_t(ids[size_t(i)])]);
}

// Every token but the first, one at a time; windows start at 0, stride, 2 stride, ... and a token
// belongs to the first whose T tokens come to just before it.
double plain_loss(Gpt& model, const std::vector<int32_t>& ids, int64_t stride) {
  double sum = 0;
  for (int64_t i = 1; i < std::ssize(ids); ++i) {
    int64_t begin = 0;
    while (i - begin > T) begin += stride;
    sum += nats(model, ids, begin, i);
  }
  return sum / double(ids.size() - 1);
}

class WholeSplit : public testing::TestWithParam<int64_t> {};

TEST_P(WholeSplit, IsThePlainSumForEveryStride) {
  auto model = a_model();
  TemporaryFolder folder;
  Split split(folder, GetParam());
  std::set<double> losses;
  for (int64_t stride : {T, int64_t(1), int64_t(3), T / 2, T - 1}) {
    double expected = plain_loss(*model, split.ids, stride);
    for (int64_t batch_size : {1, 3, 64}) {
      SplitLoss got = whole_split_loss(*model, split.file(), batch_size, stride);
      EXPECT_EQ(got.tokens, GetParam() - 1);
      EXPECT_NEAR(got.loss, expected, 1e-5) << "stride " << stride << ", batch " << batch_size;
      EXPECT_NEAR(perplexity(got), std::exp(expected), 1e-4 * std::exp(expected));
    }
    losses.insert(expected);
  }
  EXPECT_EQ(losses.size(), GetParam() <= T + 1 ? 1u : 5u);  // the strides tell apart
  EXPECT_EQ(whole_split_loss(*model, split.file(), 4).loss,
            whole_split_loss(*model, split.file(), 4, T).loss);
}

INSTANTIATE_TEST_SUITE_P(Sizes, WholeSplit,
                         testing::Values(2, T - 1, T, T + 1, T + 2, 2 * T + 1, 3 * T + 2, 77));

// Rounding activations to 8 bits turns a last bit of f32 into a step, so int4 is held less closely;
// what it does to the weights shows all the same.
TEST(WholeSplitPacked, IsThatOfThePackedWeights) {
  TemporaryFolder folder;
  Split split(folder, 77);
  auto model = a_model(), same = a_model();
  const double unpacked = plain_loss(*model, split.ids, 3);
  same->pack(WeightFormat::f32);
  EXPECT_NEAR(whole_split_loss(*same, split.file(), 5, 3).loss, unpacked, 1e-5);
  model->pack(WeightFormat::int4);
  const double packed = plain_loss(*model, split.ids, 3);
  EXPECT_GT(std::abs(packed - unpacked), 1e-2);
  EXPECT_NEAR(whole_split_loss(*model, split.file(), 5, 3).loss, packed, 1e-3);
}

TEST(WholeSplitErrors, SayWhatIsWrong) {
  auto model = a_model();
  TemporaryFolder folder;
  TokenFile tokens = Split(folder, 40).file();
  for (int64_t stride : {T + 1, int64_t(-1)}) {
    try {
      whole_split_loss(*model, tokens, 1, stride);
      ADD_FAILURE() << "stride " << stride;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("block_size 8"));
    }
  }
  EXPECT_THROW(whole_split_loss(*model, Split(folder, 1).file(), 1), Error);
}

// One number of one matrix is enough, plain or packed: no loss is printed that is not one.
TEST(WholeSplitErrors, ALossThatIsNotFiniteIsAnError) {
  TemporaryFolder folder;
  TokenFile tokens = Split(folder, 40).file();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (float wrong : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    for (bool packed : {false, true}) {
      auto model = a_model();
      model->parameters([&](const std::string& name, Parameter& p) {
        if (name != "transformer.wte.weight") return;
        std::vector<float> values = to_vector<float>(p.array());
        values[5] = wrong;
        p.assign(to_array(values, p.shape()));
      });
      if (packed) model->pack(WeightFormat::f32);
      EXPECT_THAT(message_of([&] { whole_split_loss(*model, tokens, 2); }),
                  testing::AllOf(HasSubstr("split.bin: the model's loss on tokens 1 to 16 is"),
                                 HasSubstr("nan")))
          << wrong << (packed ? ", packed" : "");
    }
  }
}

}  // namespace
}  // namespace folio

#include "inspect/forward_walk.h"

#include <gtest/gtest.h>

#include "data/files/files.h"
#include "inspect/source_lines.h"
#include "tests/inspect/models.h"
#include "tests/message.h"
#include "tests/paths.h"

namespace folio {
namespace {

double counted_flops(const std::function<void()>& work) {
  double flops = 0;
  for (const OperationTime& operation : profile(test_device(), work).operations)
    flops += operation.flops;
  return flops;
}

TEST(ForwardWalk, MultiplyAddsAreThoseThatTheDeviceCounts) {
  for (const auto& [name, config] : inspected_models()) {
    Gpt model(config, test_device());
    draw(model);
    const double counted = counted_flops([&] { capture(model, ten_tokens()); });
    double sum = 0;
    for (const WalkStep& step : forward_walk(config, capture(model, ten_tokens())))
      sum += step.multiply_adds;
    EXPECT_EQ(2 * sum, counted) << name;
  }
}

TEST(ForwardWalk, DescribesEachTensor) {
  const GptConfig config = inspected_models()[1].second;
  Gpt model(config, test_device());
  draw(model);
  const Captures seen = capture(model, ten_tokens());
  const std::vector<WalkStep> walk = forward_walk(config, seen);
  ASSERT_EQ(walk.size(), seen.points.size());
  EXPECT_EQ(walk[0].point, "embedding");
  EXPECT_EQ(walk[0].layer, -1);
  const WalkStep& scores = walk[4];
  EXPECT_EQ(scores.point, "h.0.attn.scores");
  EXPECT_EQ(scores.in_block, "attn.scores");
  EXPECT_EQ(scores.layer, 0);
  EXPECT_EQ(scores.shape, (std::vector<int64_t>{4, 10, 10}));
  EXPECT_EQ(scores.bytes, 4 * 10 * 10 * 4);
  double least = INFINITY, sum = 0, count = 0;
  for (float x : seen.at("h.0.attn.scores").values)
    if (std::isfinite(x)) least = std::min(least, double(x)), sum += x, ++count;
  EXPECT_EQ(scores.least, least);
  EXPECT_NEAR(scores.mean, sum / count, 1e-9);
  EXPECT_LT(count, 4 * 10 * 10) << "the mask hides some";
  EXPECT_EQ(walk.back().point, "logits");
}

// A step of decoding, by what the device counts of one, and what the cache takes for each token
// more.
TEST(CacheCosts, AreThoseThatTheDeviceCounts) {
  for (const auto& [name, config] : inspected_models()) {
    SCOPED_TRACE(name);
    Gpt model(config, test_device());
    draw(model);
    const CacheCosts costs = cache_costs(config);
    NoGrad no_grad;
    KvCache cache = model.make_cache(1, 12);
    const std::vector<int32_t> tokens = ten_tokens();
    model(batch_of(model, std::span(tokens).first(9)), &cache, true);
    const double counted =
        counted_flops([&] { model(batch_of(model, std::span(tokens).last(1)), &cache, true); });
    EXPECT_EQ(2 * (costs.matrix + costs.head), counted)
        << "of the products; attention is not in it";
    EXPECT_EQ(costs.pair, double(config.n_layer) * (multiply_adds(config, "attn.scores", 1) +
                                                    multiply_adds(config, "attn.output", 1)));
    int64_t matrices = 0;
    model.weights([&](const std::string& weight, Weight& w) {
      if (config.tie_weights || weight != "transformer.wte.weight") matrices += w.shape().size();
    });
    EXPECT_EQ(costs.weight_bytes, matrices * 4);
  }
}

// Of heads that fill the kernels' rows; narrower ones are padded.
TEST(CacheCosts, BytesAreWhatTheCacheTakesForEachTokenMore) {
  const GptConfig config{
      .block_size = 1024, .n_layer = 3, .n_head = 4, .n_embd = 256, .n_kv_head = 2};
  auto bytes = [&](int64_t tokens) {
    return int64_t(
        KvCache(1, tokens, config.n_layer, config.heads(), DType::f32, test_device()).bytes());
  };
  EXPECT_EQ(cache_costs(config).bytes_per_token * 512, bytes(1024) - bytes(512));
}

// What the page shows as a step's source does show that step to the watcher, and is folio's own.
TEST(SourceLines, AreThereForEveryPoint) {
  const std::pair<const char*, std::vector<std::string>> expected[] = {
      {"embedding", {"Gpt::embed", "embedding(tokens, wte_, wpe_"}},
      {"attn.q", {"CausalSelfAttention::plain", "rms_norm(q, q_norm.weight"}},
      {"attn.k", {"CausalSelfAttention::plain", "rotated(k, rotations)"}},
      {"attn.v", {"CausalSelfAttention::plain"}},
      {"attn.scores", {"CausalSelfAttention::plain", "causal_mask(", "window_mask("}},
      {"attn.probabilities", {"CausalSelfAttention::plain", "softmax(scores)"}},
      {"attn.output", {"CausalSelfAttention::operator()", "plain(qkv, rotations)"}},
      {"residual", {"Block::operator()", "attn(ln_1(x)"}},
      {"mlp.hidden", {"Mlp::operator()", "silu("}},
      {"output", {"Block::operator()", "mlp(ln_2(x))"}},
      {"ln_f", {"Gpt::head", "ln_f_(x)"}},
      {"logits", {"Gpt::head", "softcap(logits"}}};
  for (const auto& [point, texts] : expected) {
    const SourceLines source = source_of_point(point);
    EXPECT_NE(source.text.find(texts[0]), std::string::npos) << point;
    const std::string file = read_file(source_path(source.file));
    EXPECT_NE(file.find(source.text), std::string::npos) << point;
    EXPECT_TRUE(source.text.ends_with("\n}\n")) << source.text;
    // The lines in question, cut out of the file by their numbers.
    std::string lines;
    int64_t line = 1;
    for (size_t at = 0; at < file.size(); ++line) {
      const size_t end = file.find('\n', at) + 1;
      if (line >= source.begin && line < source.end) lines += file.substr(at, end - at);
      at = end;
    }
    EXPECT_NE(lines.find("\"" + std::string(point) + "\""), std::string::npos) << lines;
    for (size_t i = 1; i < texts.size(); ++i)
      EXPECT_NE(lines.find(texts[i]), std::string::npos) << point << ": " << lines;
  }
}

TEST(SourceLines, OfAFunctionAreWholeAndOfOneAlone) {
  const SourceLines walk = source_of_function("autograd/tensor.cc", "Tensor::walk(");
  EXPECT_TRUE(walk.text.starts_with("void Tensor::walk(Gradient dy) const {")) << walk.text;
  EXPECT_TRUE(walk.text.ends_with("\n}\n"));
  EXPECT_NE(message_of([] {
              source_of_function("autograd/tensor.cc", "record_node(");
            }).find("has 2 definitions of record_node(, not one"),
            std::string::npos);
  EXPECT_NE(message_of([] { source_of_function("nn/no.cc", "f("); }).find("not in the program"),
            std::string::npos);
  EXPECT_NE(message_of([] { source_of_point("attn.nothing"); }).find("no source shows"),
            std::string::npos);
}

}  // namespace
}  // namespace folio

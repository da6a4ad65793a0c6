#include "train/ranks/arena.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {
namespace {

GptConfig config(int64_t n_layer, int64_t n_head, int64_t n_embd, int64_t block_size,
                 int64_t vocab_size, bool bias) {
  GptConfig config;
  config.n_layer = n_layer, config.n_head = n_head, config.n_embd = n_embd;
  config.block_size = block_size, config.vocab_size = vocab_size, config.bias = bias;
  return config;
}
const GptConfig gpt2 = config(12, 12, 768, 1024, 50257, true);
const GptConfig char_shape = config(6, 6, 384, 256, 65, false);
const GptConfig cpu_shape = config(4, 4, 128, 64, 65, false);
const GptConfig small = config(1, 1, 4, 4, 5, false);

constexpr int64_t bucket = 1 << 18;  // elements

struct Layout {
  Layout(const GptConfig& config, int ranks, bool whole)
      : model(config, test_device()), arena(arrange(model, ranks, bucket, whole)) {}

  std::vector<Part> parts(int rank) const {
    return parts_of(arena, rank, zeros({arena.size()}, DType::f32, test_device()));
  }

  Gpt model;
  Arena arena;
};

TEST(Arena, EachElementIsOneRanksAlone) {
  for (const GptConfig& config : {small, cpu_shape})
    for (int ranks : {1, 2, 3, 7})
      for (bool whole : {false, true}) {
        const Layout layout(config, ranks, whole);
        std::map<std::string, std::vector<int>> owners;
        for (const Arena::Segment& segment : layout.arena.segments)
          owners[segment.name].resize(size_t(segment.parameter->shape().size()));
        for (int rank = 0; rank < ranks; ++rank)
          for (const Part& part : layout.parts(rank))
            for (int64_t i = part.begin; i < part.end; ++i) ++owners.at(part.name)[size_t(i)];
        for (const auto& [name, counts] : owners)
          EXPECT_TRUE(std::ranges::all_of(counts, [](int n) { return n == 1; }))
              << name << " on " << ranks;
      }
}

TEST(Arena, ParametersLieApartWithinTheirBuckets) {
  for (int ranks : {1, 3, 4}) {
    const Layout layout(char_shape, ranks, true);
    int64_t end = 0;
    std::vector<std::pair<int64_t, int64_t>> places;
    std::vector<size_t> segments(layout.arena.buckets.size());
    for (const Arena::Segment& segment : layout.arena.segments) {
      const Arena::Bucket& bucket = layout.arena.buckets[segment.bucket];
      const int64_t size = segment.parameter->shape().size();
      EXPECT_GE(segment.begin, bucket.begin);
      EXPECT_LE(segment.begin + size, bucket.end);
      EXPECT_EQ(segment.begin % 16, 0) << "vectors start at 64 bytes";
      places.emplace_back(segment.begin, segment.begin + size);
      ++segments[segment.bucket];
    }
    std::ranges::sort(places);
    for (auto [first, last] : places) {
      EXPECT_GE(first, end);
      end = last;
    }
    for (size_t i = 0; i < segments.size(); ++i)
      EXPECT_EQ(segments[i], layout.arena.buckets[i].segments);
  }
}

// One bucket follows the other in the order in which backward is done with them: the last layer's
// first, the token embedding, which the head shares, last.
TEST(Arena, BucketsAreInTheOrderOfBackward) {
  const Layout layout(gpt2, 2, false);
  EXPECT_GT(layout.arena.buckets.size(), 20u);
  EXPECT_EQ(layout.arena.segments.front().name, "transformer.ln_f.bias");
  EXPECT_EQ(layout.arena.segments.back().name, "transformer.wte.weight");
  size_t last = 0;
  for (const Arena::Segment& segment : layout.arena.segments) {
    EXPECT_GE(segment.bucket, last);
    last = segment.bucket;
  }
}

TEST(Arena, SharesAreEven) {
  for (const GptConfig& config : {gpt2, char_shape, cpu_shape})
    for (int ranks : {2, 3, 8}) {
      Layout layout(config, ranks, false);
      const int64_t all = layout.model.num_params(false);
      for (int rank = 0; rank < ranks; ++rank) {
        int64_t own = 0;
        for (const Part& part : layout.parts(rank)) own += part.end - part.begin;
        EXPECT_LE(double(own) / double(all), 1.0 / ranks + 0.02) << rank << " of " << ranks;
      }
    }
}

// Muon's: no rank has a part of a matrix, and as many of each size as there are ranks are shared
// out evenly.
TEST(Arena, HiddenMatricesStayWhole) {
  for (const GptConfig& config : {gpt2, char_shape, cpu_shape})
    for (int ranks : {2, 3, 4}) {
      const Layout layout(config, ranks, true);
      std::set<std::string> hidden;
      layout.model.hidden_matrices([&](const std::string& name, auto&) { hidden.insert(name); });
      int64_t all = 0, most = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        int64_t own = 0;
        for (const Part& part : layout.parts(rank)) {
          EXPECT_TRUE(part.is_whole() || !hidden.contains(part.name)) << part.name;
          own += part.end - part.begin;
        }
        all += own;
        most = std::max(most, own);
      }
      const bool even = config.n_layer % ranks == 0;
      EXPECT_LE(double(most) / double(all), 1.0 / ranks + (even ? 0.02 : 0.05)) << ranks;
    }
}

}  // namespace
}  // namespace folio

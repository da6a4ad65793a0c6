// Draws under every combination of options against a full sort in f64, and every device's against
// the CPU's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <span>

#include "tests/core/sampling/even_draws.h"
#include "tests/device.h"

namespace folio {
namespace {

// What a row gives; none where f32 logits and weights may decide otherwise than exact ones.
using Drawn = std::optional<int32_t>;

// Of all that a decision depends on, so much may be rounded away.
constexpr double rounding = 2e-6;

// Hugging Face's processors one after the other, as their documentation gives them, and the draw.
Drawn draw_by_sorting(std::span<const float> logits, const SamplerOptions& o, const RowDraw& row) {
  std::vector<double> values(logits.begin(), logits.end());
  if (o.repetition_penalty != 1)
    for (int32_t id : row.seen) {
      if (size_t(id) >= values.size()) continue;
      double& value = values[size_t(id)];
      value = value > 0 ? value / o.repetition_penalty : value * o.repetition_penalty;
    }
  for (double value : values)
    if (!std::isfinite(value)) return -1;
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, [&](int32_t a, int32_t b) { return values[size_t(a)] > values[size_t(b)]; });
  if (o.temperature == 0) return order[0];

  if (o.top_k > 0) order.resize(std::min(order.size(), size_t(o.top_k)));
  auto weight = [&](int32_t id) {
    return std::exp((values[size_t(id)] - values[size_t(order[0])]) / o.temperature);
  };
  double sum = 0, kept = 0;
  for (int32_t id : order) sum += weight(id);
  size_t n = 0;
  if (o.top_p < 1) {
    while (n == 0 || kept < o.top_p * sum) {
      kept += weight(order[n++]);
      if (std::abs(kept - o.top_p * sum) < rounding * sum) return {};
    }
    order.resize(n);
  }
  std::erase_if(order, [&](int32_t id) { return weight(id) < o.min_p * (1 - rounding); });
  for (int32_t id : order)
    if (o.min_p > 0 && weight(id) < o.min_p * (1 + rounding)) return {};

  std::ranges::sort(order);
  sum = 0;
  double first = -std::numeric_limits<double>::infinity();
  for (int32_t id : order) first = std::max(first, values[size_t(id)]);
  std::vector<double> through;
  for (int32_t id : order)
    through.push_back(sum += std::exp((values[size_t(id)] - first) / o.temperature));
  const double target = uniform_of(row.stream, row.number) * sum;
  for (size_t i = 0; i < order.size(); ++i) {
    if (std::abs(through[i] - target) < rounding * sum && i + 1 < order.size()) return {};
    if (through[i] > target) return order[i];
  }
  return {};
}

// Rows of logits of every kind.
std::vector<std::vector<float>> kinds_of_rows(int64_t tokens, uint32_t seed) {
  std::mt19937 random(seed);
  auto row = [&](auto&& value) {
    std::vector<float> values(static_cast<size_t>(tokens));
    for (float& v : values) v = value();
    return values;
  };
  auto normal = [&](float mean, float spread) {
    return [&random, distribution = std::normal_distribution<float>(mean, spread)]() mutable {
      return distribution(random);
    };
  };
  std::vector<std::vector<float>> rows;
  rows.push_back(row(normal(0, 3)));
  rows.push_back(row(normal(-80, 2)));
  rows.push_back(row([&, next = normal(0, 2)]() mutable { return std::round(next() * 2) / 2; }));
  rows.push_back(row([] { return 0.75f; }));
  rows.push_back(row([n = 0]() mutable { return n++ % 2 ? 0.0f : -0.0f; }));
  rows.push_back(row(normal(0, 1)));
  rows.back()[size_t(tokens) / 2] = 1000;
  return rows;
}

struct Count {
  int all = 0, unsure = 0;
};

// Each row of a kind `each` times, with evenly spread u. Behind the tokens are logits of none.
void expect_matches_sorting(int64_t tokens, int64_t V, const SamplerOptions& o, size_t each,
                            Count& count) {
  const RandomStream stream{uint64_t(tokens), 9};
  const std::vector<uint64_t> numbers = even_draws(stream, each);
  std::vector<int32_t> seen{int32_t(tokens), int32_t(V) + 100, std::numeric_limits<int32_t>::max()};
  for (int64_t id = 0; id < tokens; id += 3) seen.push_back(int32_t(id));
  std::vector<float> logits;
  std::vector<RowDraw> draws;
  for (const std::vector<float>& row : kinds_of_rows(tokens, uint32_t(tokens)))
    for (uint64_t number : numbers) {
      logits.insert(logits.end(), row.begin(), row.end());
      logits.resize(logits.size() + size_t(V - tokens), std::numeric_limits<float>::quiet_NaN());
      // Some rows have seen nothing.
      draws.push_back({stream, number, std::span(seen).first(draws.size() % 4 ? seen.size() : 0)});
    }
  const auto B = std::ssize(draws);
  auto drawn = [&](Device device) {
    const Array x = to_array(logits, {B, V}, device);
    return to_vector<int32_t>(backend(x)->sampling.draw(x, tokens, o, draws));
  };
  const std::vector<int32_t> ids = drawn(test_device());
  EXPECT_EQ(ids, drawn(cpu));
  for (size_t b = 0; b < draws.size(); ++b) {
    const auto row = std::span(logits).subspan(b * size_t(V), size_t(tokens));
    const Drawn expected = draw_by_sorting(row, o, draws[b]);
    ++count.all;
    count.unsure += !expected;
    ASSERT_EQ(ids[b], expected.value_or(ids[b]))
        << "row " << b << " of " << tokens << " tokens: penalty " << o.repetition_penalty
        << ", temperature " << o.temperature << ", top_k " << o.top_k << ", top_p " << o.top_p
        << ", min_p " << o.min_p;
  }
}

TEST(SamplingReference, EveryCombinationOfOptionsDrawsWhatAFullSortDraws) {
  Count count;
  for (auto [tokens, V] : {std::pair<int64_t, int64_t>{1, 1}, {2, 5}, {65, 65}, {1000, 1024}})
    for (double penalty : {1.0, 1.5})
      for (double temperature : {0.0, 0.7, 1.9})
        for (int64_t top_k : {int64_t{0}, int64_t{1}, int64_t{7}, tokens / 3, tokens})
          for (double top_p : {1.0, 0.9031, 0.3107, 0.0})
            for (double min_p : {0.0, 0.0713})
              expect_matches_sorting(tokens, V,
                                     {.repetition_penalty = penalty,
                                      .temperature = temperature,
                                      .top_k = top_k,
                                      .top_p = top_p,
                                      .min_p = min_p},
                                     tokens > 100 ? 1 : 3, count);
  EXPECT_LT(count.unsure, count.all / 50);
}

// GPT-2's vocabulary. Of so many tokens, one in a few is drawn by rounding.
TEST(SamplingReference, ALargeVocabularyDrawsWhatAFullSortDraws) {
  Count count;
  for (const SamplerOptions& o : std::vector<SamplerOptions>{
           {},
           {.repetition_penalty = 1.5, .temperature = 0.8},
           {.top_k = 200},
           {.temperature = 0.8, .top_p = 0.9031},
           {.repetition_penalty = 1.5, .temperature = 1.3, .top_k = 5000, .top_p = 0.9507},
           {.top_p = 0.9999, .min_p = 0.0013}})
    expect_matches_sorting(50257, 50304, o, 2, count);
  EXPECT_LT(count.unsure, count.all / 3);
}

// Where a reference cannot be sure: the ends of f32, its smallest numbers, borders of top_p and
// min_p that are hit exactly, and temperatures of every size.
TEST(SamplingReference, EveryDeviceDrawsWhatTheCpuDraws) {
  std::mt19937 random(11);
  constexpr int64_t B = 16, V = 300;
  const float most = std::numeric_limits<float>::max();
  for (float unit : {1.0f, 1e-42f, 1e-20f, most / 4}) {
    std::uniform_int_distribution<int> level(-4, 4);
    std::vector<float> values(size_t(B * V));
    for (float& value : values) value = float(level(random)) * unit;
    std::vector<int32_t> seen(64);
    std::iota(seen.begin(), seen.end(), 7);
    std::vector<RowDraw> rows;
    for (int64_t b = 0; b < B; ++b)
      rows.push_back({{3, uint64_t(b % 3)}, uint64_t(b), std::span(seen).first(size_t(4 * b))});
    for (double temperature : {1e-300, 1e-30, 0.3, 1.0, 1e38, 1e300})
      for (const SamplerOptions& o : std::vector<SamplerOptions>{
               {.temperature = temperature},
               {.temperature = temperature, .top_k = 50, .top_p = 0.5},
               {.repetition_penalty = 1e30, .temperature = temperature, .top_p = 0.25},
               {.temperature = temperature, .top_p = 1 - 0x1p-53, .min_p = 1e-300},
               {.repetition_penalty = 1e-30, .temperature = temperature, .min_p = 1}}) {
        auto drawn = [&](Device device) {
          const Array x = to_array(values, {B, V}, device);
          return to_vector<int32_t>(backend(x)->sampling.draw(x, V, o, rows));
        };
        EXPECT_EQ(drawn(test_device()), drawn(cpu)) << unit << ", temperature " << temperature;
      }
  }
}

TEST(SamplingReference, MoreTokensThanCanBeSummedAreRefused) {
  const Array x = empty({0, (int64_t{1} << 23) + 1}, DType::f32);
  EXPECT_THROW(test_backend()->sampling.draw(x, x.dim(1), {}, {}), Error);
  EXPECT_EQ(test_backend()->sampling.draw(x, x.dim(1) - 1, {}, {}).size(), 0);
}

}  // namespace
}  // namespace folio

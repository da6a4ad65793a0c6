#include "core/cuda/kernels/sampling/draw.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/backend.h"
#include "core/devices/token_weights.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

// The kernel's ids are the CPU's, in any order of its threads.
void expect_ids_of_cpu(int64_t B, int tokens, int64_t V, const SamplerOptions& o) {
  SCOPED_TRACE(fmt::format("{} tokens, penalty {}, temperature {}, top_k {}, top_p {}", tokens,
                           o.repetition_penalty, o.temperature, o.top_k, o.top_p));
  std::vector<float> logits = normal<float>(size_t(B * V), 1);
  for (float& logit : logits) logit = std::round(logit * 16) / 8;  // with ties
  std::vector<int32_t> seen(size_t(tokens) / 2 + 2);
  std::iota(seen.begin(), seen.end(), tokens / 2 + 1);
  std::vector<RowDraw> rows;
  std::vector<cuda::DeviceRowDraw> device_rows;
  for (int64_t b = 0; b < B; ++b) {
    const RandomStream stream{5, uint64_t(b % 2)};
    rows.push_back({stream, uint64_t(7 * b), std::span(seen).subspan(size_t(b))});
    device_rows.push_back({stream, uint64_t(7 * b), b, std::ssize(seen) - b});
  }
  const Array on_cpu = to_array(logits, {B, V}, cpu);
  const auto expected = to_vector<int32_t>(backend(cpu)->sampling.draw(on_cpu, tokens, o, rows));
  const DeviceBuffer<float> device_logits(logits);
  const DeviceBuffer<cuda::DeviceRowDraw> draws(device_rows);
  const DeviceBuffer<int32_t> device_seen(seen);
  on_every_schedule([&] {
    const DeviceBuffer<float> penalised(size_t(B * tokens));
    const DeviceBuffer<int32_t> ids{size_t(B)}, next{size_t(B)};
    cuda::draw({.logits = device_logits.data(),
                .V = V,
                .tokens = tokens,
                .rows = draws.data(),
                .seen = device_seen.data(),
                .penalised = o.repetition_penalty == 1 ? nullptr : penalised.data(),
                .repetition_penalty = float(o.repetition_penalty),
                .greedy = o.temperature == 0,
                .distance_scale = distance_scale(o.temperature),
                .top_k = int(o.top_k),
                .top_p = o.top_p,
                .least_weight = least_weight(o.min_p),
                .ids = ids.data(),
                .next = next.data()},
               B, test_stream());
    EXPECT_EQ(ids.read(), expected);
    EXPECT_EQ(next.read(), expected);
  });
}

// Blocks of one warp, of two and of the most; 64 tokens of 4 rows end where their memory does.
TEST(CudaSampling, DrawsTheIdsOfTheCpuInAnySchedule) {
  for (int tokens : {64, 65, 2100}) {
    if (with_tsan && tokens > 65) break;
    for (const SamplerOptions& o : std::vector<SamplerOptions>{
             {.repetition_penalty = 1.5, .temperature = 0},
             {.repetition_penalty = 1.5},
             {.top_k = 9},
             {.temperature = 0.7, .top_p = 0.9},
             {.repetition_penalty = 1.25, .top_k = 15, .top_p = 0.8, .min_p = 0.05}})
      expect_ids_of_cpu(4, tokens, tokens + 3, o);
  }
}

}  // namespace
}  // namespace folio

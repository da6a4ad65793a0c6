#include <cstring>
#include <vector>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/sampling/draw.h"
#include "core/cuda/stream.h"
#include "core/devices/check_token_count.h"
#include "core/devices/token_weights.h"

namespace folio {
namespace {

using cuda::DeviceRowDraw;

constexpr size_t row_words = sizeof(DeviceRowDraw) / sizeof(int32_t);

// The rows and behind them, if they count, their seen tokens, as one Array on the device.
Array to_device(std::span<const RowDraw> rows, bool with_seen, Device device) {
  std::vector<DeviceRowDraw> draws;
  std::vector<int32_t> words(rows.size() * row_words);
  int64_t begin = 0;
  for (const RowDraw& row : rows) {
    const std::span<const int32_t> seen = with_seen ? row.seen : std::span<const int32_t>();
    draws.push_back({row.stream, row.number, begin, std::ssize(seen)});
    begin += std::ssize(seen);
    words.insert(words.end(), seen.begin(), seen.end());
  }
  std::memcpy(words.data(), draws.data(), draws.size() * sizeof(DeviceRowDraw));
  return to_array(words, {std::ssize(words)}, device);
}

class CudaSamplingOps final : public SamplingOps {
 public:
  Array draw(const Array& logits, int64_t tokens, const SamplerOptions& options,
             std::span<const RowDraw> rows, Array* next) override {
    check_token_count(tokens);
    const int64_t B = logits.dim(0);
    Array ids({B}, DType::i32, logits.device());
    if (B == 0) return ids;
    if (next) next->begin_write("draw");
    const bool penalises = options.repetition_penalty != 1;
    const Array words = to_device(rows, penalises, logits.device());
    Array penalised;
    if (penalises) penalised = Array({B, tokens}, DType::f32, logits.device());
    cuda::draw({.logits = logits.data<float>(),
                .V = logits.dim(1),
                .tokens = int(tokens),
                .rows = static_cast<const DeviceRowDraw*>(words.address()),
                .seen = words.data<int32_t>() + B * int64_t(row_words),
                .penalised = penalises ? penalised.data<float>() : nullptr,
                .repetition_penalty = float(options.repetition_penalty),
                .greedy = options.temperature == 0,
                .distance_scale = distance_scale(options.temperature),
                .top_k = options.top_k < tokens ? int(options.top_k) : 0,
                .top_p = options.top_p,
                .least_weight = least_weight(options.min_p),
                .ids = ids.data<int32_t>(),
                .next = next ? next->data<int32_t>() : nullptr},
               B, cuda::stream());
    if (next) next->set_id_range({0, tokens});
    return ids;
  }
};

}  // namespace

SamplingOps& cuda_sampling() {
  static auto& operations = *new CudaSamplingOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

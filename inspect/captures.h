#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "nn/gpt.h"

namespace folio {

// Numbers on the host, in f32, row by row.
struct HostArray {
  std::vector<int64_t> shape;
  std::vector<float> values;
  DType dtype = DType::f32;  // of the Array that they were

  int64_t dim(int i) const { return shape.at(size_t(i < 0 ? i + std::ssize(shape) : i)); }
  std::span<const float> row(int64_t i) const {  // of the last dimension
    return std::span(values).subspan(size_t(i * dim(-1)), size_t(dim(-1)));
  }
};
HostArray on_host(const Array& x);

// What a model in its plain spelling showed at the points of nn/context.h as it read one text.
// Of x [1, ...] the first dimension is left out: "transformer.h.0.attn.probabilities" [H, T, T].
struct Captures {
  std::vector<int32_t> tokens;      // T
  std::vector<std::string> points;  // in the order in which they were computed
  std::map<std::string, HostArray> values;
  std::map<std::string, HostArray> gradients;  // of the loss, where there was a backward pass
  double loss = 0;                             // likewise: mean over T - 1 predictions

  const HostArray& at(const std::string& point) const { return values.at("transformer." + point); }
  const HostArray& at(int64_t layer, const std::string& point) const {
    return at(fmt::format("h.{}.{}", layer, point));
  }
};

// One forward pass, nothing recorded. Error for more tokens than the model can read.
Captures capture(Gpt& model, std::span<const int32_t> tokens);

// One forward pass over tokens [B, T] that `watcher` sees: nothing is recorded, no dropout.
void watch_pass(Gpt& model, const Array& tokens, Watcher& watcher);

// A forward and a backward pass of the loss of predicting each token from those before it; the
// gradients of the model's parameters are added to what they had. At least two tokens. `values`
// have T - 1 rows.
Captures capture_step(Gpt& model, std::span<const int32_t> tokens);

// The largest difference between the logits of the plain spelling in `captures` and those of the
// fused one.
double fused_difference(Gpt& model, const Captures& captures);

// tokens [T] -> [1, T] on the model's device.
Array batch_of(Gpt& model, std::span<const int32_t> tokens);

}  // namespace folio

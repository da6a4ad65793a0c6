#pragma once
#include <algorithm>
#include <cstdint>
#include <numbers>

#include "core/array.h"
#include "core/backend/heads.h"

namespace folio {

// QK-norm: each head of the queries and of the keys divided by the root of its mean square, times a
// weight [width], one for all heads of the queries and one for those of the keys; both may be
// undefined. (Dehghani et al., "Scaling vision transformers to 22 billion parameters", 2023.)
struct HeadNorm {
  bool enabled = false;
  double eps = 1e-5;
  Array q, k = {};
};

// How fast each pair of a head's elements turns: pair i by theta^(-2 i / width) a position, or what
// Llama 3's scaling makes of that. A `factor` above 1 slows the pairs that turn less often than
// `low_freq_factor` times within `original_context` positions by that factor, leaves those that
// turn more often than `high_freq_factor` times, and blends in between.
struct Rope {
  double theta = 10000;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_context = 8192;

  bool operator==(const Rope&) const = default;
  constexpr double scaled(double speed) const {
    if (factor == 1) return speed;
    const double turns = double(original_context) * speed / (2 * std::numbers::pi);
    const double kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
    const double share = std::clamp(kept, 0.0, 1.0);
    return speed * (share + (1 - share) / factor);
  }
};

// What happens to queries and keys between their product and attention: QK-norm, then rotary
// positions (Su et al., "RoFormer", 2021) in Llama's layout, where element i of the first half of a
// head is turned with element i of the second:
//   (a, b) -> (a cos - b sin, b cos + a sin)   by the angle  position speed(i), see Rope
class RotaryOps {
 public:
  virtual ~RotaryOps() = default;

  // The cosines and then the sines of positions 0 to T - 1 -> [1, T, width], or with `positions`
  // [B] i32 of positions[b] to positions[b] + T - 1 -> [B, T, width]. In f32 or f64; the angles are
  // formed in f64, so that a position has the same bits whichever call reaches it. Positions have
  // no end.
  virtual Array table(const Array& positions, int64_t T, int64_t width, const Rope& rope,
                      DType dtype) = 0;
  // qkv with its queries and keys normed, if `norm` is enabled, and then turned by `table`, f32
  // (f64 for f64) [B or 1, T, width], if it is defined; the values are copied. Rounded once.
  virtual Array forward(const Array& qkv, const Heads& heads, const HeadNorm& norm,
                        const Array& table) = 0;
  // -> d loss / d qkv from dy, that of forward's result. Adds to dq_norm and dk_norm [width], which
  // are undefined or null where norm's weights are. Without a norm qkv is not looked at.
  virtual Array grad(const Array& dy, const Array& qkv, const Heads& heads, const HeadNorm& norm,
                     const Array& table, Array* dq_norm = nullptr, Array* dk_norm = nullptr) = 0;
};

}  // namespace folio

#pragma once
#include <cstdint>

#include "core/array.h"
#include "core/backend/heads.h"
#include "core/random.h"

namespace folio {

struct Attended {
  Array y;    // [B, T, n_head width]
  Array lse;  // [B, H, T]: ln of the sum of exp of each query's scaled scores; f32 (f64 for f64)
};

// Causal self-attention over qkv [B, T, heads.columns()], laid out as Heads says; scores scaled by
// 1 / sqrt(width). Keys that a query's window leaves out cost nothing, as far as whole blocks of
// them go. Dropout on the probabilities, element ((b H + h) T + query) T + key of `dropout`, h the
// query's head of H, after lse was taken. No [T, T] matrix is ever held. (Dao, "FlashAttention-2",
// 2023.)
class AttentionOps {
 public:
  virtual ~AttentionOps() = default;

  virtual Attended forward(const Array& qkv, const Heads& heads, const Dropout& dropout) = 0;
  // -> d loss / d qkv; `forward`, heads and dropout are those of the forward call.
  virtual Array grad(const Array& dy, const Array& qkv, const Attended& forward, const Heads& heads,
                     const Dropout& dropout) = 0;
};

}  // namespace folio

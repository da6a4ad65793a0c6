#pragma once
#include <cstdint>

#include "core/array.h"
#include "core/random.h"

namespace folio {

struct Attended {
  Array y;    // [B, T, C]
  Array lse;  // [B, H, T]: log sum exp of each query's scaled scores, f32 (f64 for f64)
};

// Causal self-attention: qkv [B, T, 3C], heads of C / n_head, scores scaled by 1/sqrt(C/n_head),
// dropout on the probabilities, element ((b H + h) T + query) T + key of `dropout`. No [T, T]
// matrix is ever held. (Dao, "FlashAttention-2", 2023.)
class AttentionOps {
 public:
  virtual ~AttentionOps() = default;

  virtual Attended forward(const Array& qkv, int64_t n_head, const Dropout& dropout) = 0;
  virtual Array grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                     const Dropout& dropout) = 0;
};

}  // namespace folio

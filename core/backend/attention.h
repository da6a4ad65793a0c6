#pragma once
#include <cstdint>

#include "core/array.h"
#include "core/random.h"

namespace folio {

struct Attended {
  Array y;    // [B, T, C]
  Array lse;  // [B, H, T]: ln of the sum of exp of each query's scaled scores; f32 (f64 for f64)
};

// Causal self-attention: qkv [B, T, 3C], of which the first C columns are the queries, then the
// keys, then the values, each head after head, D = C / n_head columns; scores scaled by 1/sqrt(D).
// Dropout on the probabilities, element ((b H + h) T + query) T + key of `dropout`, after lse was
// taken. No [T, T] matrix is ever held. (Dao, "FlashAttention-2", 2023.)
class AttentionOps {
 public:
  virtual ~AttentionOps() = default;

  virtual Attended forward(const Array& qkv, int64_t n_head, const Dropout& dropout) = 0;
  // -> d loss / d qkv; `forward`, n_head and dropout are those of the forward call.
  virtual Array grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                     const Dropout& dropout) = 0;
};

}  // namespace folio

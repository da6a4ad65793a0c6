#pragma once
#include "core/backend/attention.h"

namespace folio {

// AttentionOps::grad.
Array cpu_attention_grad(const Array& dy, const Array& qkv, const Attended& forward,
                         const Heads& heads, const Dropout& dropout);

}  // namespace folio

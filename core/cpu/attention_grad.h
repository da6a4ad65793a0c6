#pragma once
#include "core/backend/attention.h"

namespace folio {

// AttentionOps::grad.
Array cpu_attention_grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                         const Dropout& dropout);

}  // namespace folio

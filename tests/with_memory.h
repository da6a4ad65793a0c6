#pragma once
#include "core/backend.h"

namespace folio {

// The operations of a device over another memory: how the tests' devices are made of real ones.
inline Operations with_memory(const Operations& all, Memory& memory) {
  return {.memory = memory,
          .elementwise = all.elementwise,
          .broadcast = all.broadcast,
          .layout = all.layout,
          .random = all.random,
          .reductions = all.reductions,
          .rows = all.rows,
          .norms = all.norms,
          .products = all.products,
          .embeddings = all.embeddings,
          .rotary = all.rotary,
          .attention = all.attention,
          .losses = all.losses,
          .optimizer = all.optimizer,
          .packed = all.packed,
          .kv_cache = all.kv_cache,
          .sampling = all.sampling,
          .recorder = all.recorder,
          .machine = all.machine};
}

}  // namespace folio

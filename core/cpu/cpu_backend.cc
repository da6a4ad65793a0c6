#include "core/cpu/cpu_backend.h"

#include "core/cpu/machine/capability.h"

namespace folio {

Backend& cpu_backend() {
  static Backend& instance = []() -> Backend& {
    keep_to_cpu_capability();
    return *new Backend({.memory = cpu_memory(),
                         .elementwise = cpu_elementwise(),
                         .broadcast = cpu_broadcast(),
                         .layout = cpu_layout(),
                         .random = cpu_random(),
                         .reductions = cpu_reductions(),
                         .rows = cpu_rows(),
                         .norms = cpu_norms(),
                         .products = cpu_products(),
                         .embeddings = cpu_embeddings(),
                         .rotary = cpu_rotary(),
                         .attention = cpu_attention(),
                         .losses = cpu_losses(),
                         .optimizer = cpu_optimizer(),
                         .packed = cpu_packed(),
                         .kv_cache = cpu_kv_cache(),
                         .sampling = cpu_sampling(),
                         .recorder = cpu_recorder(),
                         .machine = cpu_machine()});
  }();
  return instance;  // outlives every Array, static ones included
}

}  // namespace folio

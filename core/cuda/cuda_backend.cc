#include "core/cuda/cuda_backend.h"

namespace folio {

Backend& cuda_backend() {
  static Backend& instance = *new Backend({.memory = cuda_memory(),
                                           .elementwise = cuda_elementwise(),
                                           .broadcast = cuda_broadcast(),
                                           .layout = cuda_layout(),
                                           .random = cuda_random(),
                                           .reductions = cuda_reductions(),
                                           .rows = cuda_rows(),
                                           .norms = cuda_norms(),
                                           .products = cuda_products(),
                                           .embeddings = cuda_embeddings(),
                                           .rotary = cuda_rotary(),
                                           .attention = cuda_attention(),
                                           .losses = cuda_losses(),
                                           .optimizer = cuda_optimizer(),
                                           .packed = cuda_packed(),
                                           .kv_cache = cuda_kv_cache(),
                                           .sampling = cuda_sampling(),
                                           .recorder = cuda_recorder(),
                                           .machine = cuda_machine()});
  return instance;  // outlives every Array, static ones included
}

}  // namespace folio

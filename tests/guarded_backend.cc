#include "tests/guarded_backend.h"

#include "tests/guarded_memory.h"

namespace folio {
namespace {

// The CPU's operations over memory of the guarded device's own.
Operations guarded_operations(Memory& memory) {
  const Operations& cpu = *backend(folio::cpu).operator->();
  return {.memory = memory,
          .elementwise = cpu.elementwise,
          .broadcast = cpu.broadcast,
          .layout = cpu.layout,
          .random = cpu.random,
          .reductions = cpu.reductions,
          .rows = cpu.rows,
          .norms = cpu.norms,
          .products = cpu.products,
          .embeddings = cpu.embeddings,
          .attention = cpu.attention,
          .losses = cpu.losses,
          .optimizer = cpu.optimizer,
          .packed = cpu.packed,
          .kv_cache = cpu.kv_cache,
          .sampling = cpu.sampling,
          .machine = cpu.machine};
}

// Opens the memory around every operation.
class GuardedBackend final : public Backend {
 public:
  explicit GuardedBackend(GuardedMemory& memory)
      : Backend(guarded_operations(memory)), pages_(memory.pages()) {}

  void enter() override { pages_.open(); }
  void leave() override { pages_.close(); }

 private:
  GuardedPages& pages_;
};

Device registered() {
  auto& memory = *new GuardedMemory;  // which outlive every Array
  auto& backend = *new GuardedBackend(memory);
  return register_backend("guarded", backend);
}

}  // namespace

Device guarded_device() {
  static const Device device = registered();
  return device;
}

}  // namespace folio

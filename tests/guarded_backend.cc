#include "tests/guarded_backend.h"

#include "tests/guarded_memory.h"
#include "tests/with_memory.h"

namespace folio {
namespace {

// The CPU's operations over memory of the guarded device's own, which it opens around each.
class GuardedBackend final : public Backend {
 public:
  explicit GuardedBackend(GuardedMemory& memory)
      : Backend(with_memory(*backend(cpu).operator->(), memory)), pages_(memory.pages()) {}

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

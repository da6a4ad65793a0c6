#include "nn/context.h"

namespace folio {

Tensor Context::watched(std::string_view point, const Tensor& x, int64_t layer) const {
  std::string name = layer < 0 ? fmt::format("transformer.{}", point)
                               : fmt::format("transformer.h.{}.{}", layer, point);
  watcher->value(name, x.array());
  return record(x.array(), {x}, [watcher = watcher, name](Array dx) {
    watcher->gradient(name, dx);
    return std::vector<Array>{std::move(dx)};
  });
}

}  // namespace folio

#include "core/cpu/tiles/tile_unit.h"

#include <atomic>

#include "core/cpu/tiles/amx.h"
#include "core/cpu/tiles/portable.h"

namespace folio {
namespace {

std::atomic<UseTiles> in_use = UseTiles::hardware;

}  // namespace

const TileUnit* tile_unit() {
  switch (in_use.load(std::memory_order_relaxed)) {
    case UseTiles::off:
      return nullptr;
    case UseTiles::portable:
      return &portable_tiles();
    default:
      return amx_tiles();
  }
}

void use_tiles(UseTiles use) { in_use = use; }

bool has_hardware_tiles() { return amx_tiles() != nullptr; }

}  // namespace folio

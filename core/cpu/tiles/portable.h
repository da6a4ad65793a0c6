#pragma once
#include "core/cpu/tiles/tile_unit.h"

namespace folio {

// What tile_unit.h says, in vectors of whatever length: for tests on machines without tiles.
const TileUnit& portable_tiles();

}  // namespace folio

#pragma once
#include "core/cpu/tiles/tile_unit.h"

namespace folio {

// Intel's AMX; null where the processor lacks it, or the system does not let this process use it,
// which it is asked once.
const TileUnit* amx_tiles();

}  // namespace folio

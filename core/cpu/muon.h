#pragma once
#include "core/backend/optimizer.h"

namespace folio {

// OptimizerOps::muon, whose figures have been found finite.
void cpu_muon(std::span<const MuonSlot> slots, const MuonStep& step);

}  // namespace folio

#pragma once
#include "core/backend/optimizer.h"

namespace folio::cuda {

// OptimizerOps::muon, unless *skip (on the device) is not 0; `skip` may be null.
void muon(std::span<const MuonSlot> slots, const MuonStep& step, const int32_t* skip);

}  // namespace folio::cuda

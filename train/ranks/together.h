#pragma once
#include <functional>

#include "core/ranks/communicator.h"

namespace folio {

// Calls `attempt` on every rank. If it throws an std::exception on one, every rank throws: Error
// with the text of the first that failed, with that rank's number if not all say the same. Where
// `ranks` is null or has one process alone: just `attempt()`.
void together(Communicator* ranks, const std::function<void()>& attempt);

}  // namespace folio

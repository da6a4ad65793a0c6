#pragma once
#include "core/ranks/communicator.h"

namespace folio {

// The ranks that mpirun started this test program as; all of them run the same tests. One without
// mpirun.
Communicator& ranks();

}  // namespace folio

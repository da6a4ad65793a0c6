#pragma once
#include "core/ranks/communicator.h"

namespace folio {

// What every implementation checks of what it is given, before anything is sent: Error that names
// the call, and the shapes, dtypes or devices that do not fit it.
void check_all_reduce(const Communicator& ranks, const Array& x);
void check_reduce_scatter(const Communicator& ranks, const Array& x, const Array& shard);
void check_all_gather(const Communicator& ranks, const Array& shard, const Array& x);
void check_broadcast(const Communicator& ranks, const Array& x, int root);

}  // namespace folio

#pragma once
#include <memory>

#include "core/ranks/communicator.h"

namespace folio {

// The ranks of `host` on their GPUs, one each: NCCL carries the arrays, `host` what `gather` is
// given. `host` is a communicator over MPI or a rendezvous (core/ranks/rendezvous_ranks.h), of any
// device; all its ranks call this. One rank alone needs no NCCL.
// Error, the same on all ranks, where one of them has no NCCL or another one; what to install is
// said, also by a build without. See core/cuda/nccl/nccl_ranks.h for what it promises.
std::unique_ptr<Communicator> cuda_ranks(Device device, std::unique_ptr<Communicator> host,
                                         const Communicator::Options& options);

}  // namespace folio

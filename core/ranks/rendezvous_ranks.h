#pragma once
#include "core/ranks/communicator.h"
#include "core/ranks/rendezvous.h"

namespace folio {

// The ranks of a rendezvous, where there is no MPI. What they exchange goes by way of the host and
// of rank 0: right for text, and for arrays on any device, but slow; on GPUs NCCL carries the
// arrays (core/ranks/cuda_ranks.h).
std::unique_ptr<Communicator> rendezvous_ranks(Device device, const Rendezvous::Place& place,
                                               const Communicator::Options& options);

}  // namespace folio

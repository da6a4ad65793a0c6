#pragma once
#include <memory>

#include "core/ranks/communicator.h"

namespace folio {

// The processes of MPI_COMM_WORLD, for arrays of the CPU. The first call starts MPI, from the main
// thread, which alone makes the calls of a Communicator after it. A sum is ((x0 + x1) + x2) + ...
// by rank, whatever the sizes: `all_reduce` and `reduce_scatter` of any cut of an array give the
// same bits.
std::unique_ptr<Communicator> mpi_ranks(Device device, const Communicator::Options& options);

}  // namespace folio

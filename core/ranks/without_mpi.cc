// mpi_ranks of a program that is linked without MPI.
#include "core/check.h"
#include "core/ranks/mpi/mpi_communicator.h"

namespace folio {

std::unique_ptr<Communicator> mpi_ranks(Device, const Communicator::Options&) {
  fail(
      "MPI started this process as one of several, and this build of folio has no MPI; install "
      "libopenmpi-dev and openmpi-bin (scripts/install-packages does), then configure and build "
      "again: cmake --preset release && cmake --build --preset release; or number the processes "
      "as torchrun does (docs/many-processes.md)");
}

}  // namespace folio

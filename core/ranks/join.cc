#include "core/check.h"
#include "core/ranks/communicator.h"
#include "core/ranks/cuda_ranks.h"
#include "core/ranks/facts.h"
#include "core/ranks/launch.h"
#include "core/ranks/leave.h"
#if defined(FOLIO_MPI)
#include "core/ranks/mpi/mpi_communicator.h"
#endif

namespace folio {

std::unique_ptr<Communicator> join_ranks(Device device, const Communicator::Options& options) {
  Launch launch = launch_of(process_environment());
  if (!launch.by_mpi || launch.size == 1) return one_process(device);
#if defined(FOLIO_MPI)
  const bool on_gpus = device.type == Device::Type::cuda;
  std::unique_ptr<Communicator> ranks = mpi_ranks(on_gpus ? cpu : device, options);
  if (ranks->size() == 1) return one_process(device);
  std::vector<RankFacts> facts = gather_facts(*ranks);
  watch_ranks(*ranks, facts, options);
  check_same_build(facts);
  return on_gpus ? cuda_ranks(device, std::move(ranks), options) : std::move(ranks);
#else
  (void)options;
  fail(
      "MPI started this process as one of several, and this build of folio has no MPI; install "
      "libopenmpi-dev and openmpi-bin (scripts/install-packages does), then configure and build "
      "again: cmake --preset release && cmake --build --preset release");
#endif
}

}  // namespace folio

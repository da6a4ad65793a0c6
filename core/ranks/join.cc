#include <cstdlib>

#include "core/check.h"
#include "core/ranks/communicator.h"
#include "core/ranks/cuda_ranks.h"
#include "core/ranks/facts.h"
#include "core/ranks/launch.h"
#include "core/ranks/leave.h"
#include "core/ranks/mpi/mpi_communicator.h"
#include "core/ranks/rendezvous_ranks.h"

namespace folio {
namespace {

// Of whoever started them with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun does.
std::optional<Rendezvous::Place> numbered_place() {
  if (!std::getenv("WORLD_SIZE") || !std::getenv("MASTER_ADDR")) return std::nullopt;
  return Rendezvous::place_from_environment();
}

}  // namespace

std::unique_ptr<Communicator> join_ranks(Device device, const Communicator::Options& options) {
  const bool on_gpus = device.type == Device::Type::cuda;
  const Device host = on_gpus ? cpu : device;
  const Launch launch = launch_of(process_environment());
  std::unique_ptr<Communicator> ranks;
  if (launch.by_mpi && launch.size != 1)
    ranks = mpi_ranks(host, options);
  else if (const auto place = numbered_place(); place && !launch.by_mpi)
    ranks = rendezvous_ranks(host, *place, options);
  if (!ranks || ranks->size() == 1) return one_process(device);
  const std::vector<RankFacts> facts = gather_facts(*ranks);
  watch_ranks(*ranks, facts, options);
  check_same_build(facts);
  return on_gpus ? cuda_ranks(device, std::move(ranks), options) : std::move(ranks);
}

}  // namespace folio

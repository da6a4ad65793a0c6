#pragma once
#include <functional>
#include <optional>
#include <string>

namespace folio::cuda {

// One process a GPU: among several processes of a host, each takes the GPU of its number there,
// which mpirun, Slurm and torchrun say (OMPI_COMM_WORLD_LOCAL_RANK, MPI_LOCALRANKID,
// SLURM_LOCALID, LOCAL_RANK). Returns what CUDA_VISIBLE_DEVICES is to be, so that CUDA's first
// device is this one, for every thread and library; none where the environment is to stay as it
// is: nobody numbers the processes, or each is given a GPU of its own already.
// `variable` is the environment: null where one is not set. Error where it shows too few GPUs.
std::optional<std::string> visible_gpu(const std::function<const char*(const char*)>& variable);

// Sets it, before the first call of CUDA; Error where this host has no such GPU.
void take_own_gpu();

}  // namespace folio::cuda

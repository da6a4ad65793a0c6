#pragma once
#include <chrono>

namespace folio {

// Open MPI's daemon that started this process, mpirun or the orted of its host, waits for those of
// all other hosts before it ends: for a quarter of an hour where the network to one is cut. This
// ends it after `grace` if it has not gone by itself, from a process of its own, so that the caller
// may leave. Does nothing where another launcher started this process, as Slurm's.
void end_launcher_after(std::chrono::seconds grace);

}  // namespace folio

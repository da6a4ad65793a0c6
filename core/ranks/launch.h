#pragma once
#include <functional>
#include <optional>
#include <string>

namespace folio {

// How this process was started, as its environment tells. Nothing of MPI is touched to know it.
struct Launch {
  bool by_mpi = false;  // mpirun, or a launcher that speaks PMIx
  int size = 1;         // processes that were started together; 0: only MPI knows
};

using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

// This process's number among them, before they have joined; 0 where it is alone.
int launched_rank(const Environment& environment);

// Error where Slurm started several processes that MPI would take for one each, with what to type.
Launch launch_of(const Environment& environment);

}  // namespace folio

#include "core/ranks/launch.h"

#include <cstdlib>

#include "core/check.h"

namespace folio {
namespace {

// A count that a launcher has set; 0 where it has not.
int count(const Environment& environment, const char* name) {
  std::optional<std::string> text = environment(name);
  return text ? std::atoi(text->c_str()) : 0;
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    if (!value) return std::nullopt;
    return value;
  };
}

int launched_rank(const Environment& environment) {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "RANK"})
    if (environment(name)) return count(environment, name);
  return 0;
}

Launch launch_of(const Environment& environment) {
  if (int size = count(environment, "OMPI_COMM_WORLD_SIZE"))  // Open MPI's mpirun
    return {true, size};
  int slurm = count(environment, "SLURM_STEP_NUM_TASKS");
  if (environment("PMIX_RANK")) return {true, slurm};
  if (int size = count(environment, "PMI_SIZE"); size > 1 && environment("PMI_RANK")) {
    check(!environment("SLURM_JOB_ID"),
          "Slurm started {} processes through PMI, by which Open MPI does not find them; type: "
          "srun --mpi=pmix folio train ... (srun --mpi=list shows what this Slurm has)",
          size);
    return {true, size};  // MPICH's mpirun
  }
  slurm = std::max(slurm, count(environment, "SLURM_NTASKS"));
  check(slurm <= 1 || !environment("SLURM_JOB_ID"),
        "this job has {0} tasks (SLURM_NTASKS), but this process was started as one by itself, and "
        "{0} of them would each train the whole model; type: srun --mpi=pmix folio train ..., or "
        "mpirun folio train ...; or ask Slurm for one task (--ntasks=1) to train in one process",
        slurm);
  return {};
}

}  // namespace folio

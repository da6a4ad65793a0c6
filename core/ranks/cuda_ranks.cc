#include "core/ranks/cuda_ranks.h"

#include "core/check.h"
#if defined(FOLIO_NCCL)
#include "core/cuda/nccl/nccl_ranks.h"
#endif

namespace folio {

std::unique_ptr<Communicator> cuda_ranks(Device device, std::unique_ptr<Communicator> host,
                                         [[maybe_unused]] const Communicator::Options& options) {
  if (host->size() == 1) return one_process(device);
#if defined(FOLIO_NCCL)
  return nccl_ranks(device, std::move(host), options);
#else
  fail(
      "rank {} of {}: this build of folio has no NCCL, which carries what several GPUs exchange: "
      "run scripts/install-nccl-headers and build again with cmake -DFOLIO_CUDA=ON, or start one "
      "process alone",
      host->rank(), host->size());
#endif
}

}  // namespace folio

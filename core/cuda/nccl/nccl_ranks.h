#pragma once
#include <memory>

#include "core/ranks/communicator.h"

namespace folio {

// The ranks of `host` with a GPU each, on which NCCL carries the arrays (core/ranks/cuda_ranks.h).
// A collective runs beside the device's other work, behind what that was asked for before; `wait`
// has what follows on the device wait for it, and the host never does. `gather` does: when it
// returns, all collectives before it are known to have been done. A collective that fails shows
// only later, as an Error of any call that follows: what was computed since is worth nothing, so
// `gather` before it is kept.
//
// The same bytes twice, on the same GPUs wired alike: NCCL then takes the same algorithm, protocol
// and channels, and with them the same order of sums. Other bytes come of another NCCL, and of
// NCCL_ALGO, NCCL_PROTO, NCCL_NTHREADS, NCCL_MIN_NCHANNELS, NCCL_MAX_NCHANNELS (or _CTAS),
// NCCL_BUFFSIZE, NCCL_P2P_DISABLE, NCCL_SHM_DISABLE, NCCL_CROSS_NIC, NCCL_COLLNET_ENABLE,
// NCCL_TOPO_FILE, NCCL_GRAPH_FILE or a tuner plugin. NCCL_NVLS_ENABLE=1, which folio turns off,
// is faster on some machines and promises nothing.
std::unique_ptr<Communicator> nccl_ranks(Device device, std::unique_ptr<Communicator> host,
                                         const Communicator::Options& options);

}  // namespace folio

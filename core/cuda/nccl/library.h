#pragma once
#include <cuda_runtime.h>
#include <nccl.h>

#include <string>

namespace folio::cuda {

// NCCL's calls, found at run time: a machine without it trains on one GPU.
struct Nccl {
  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) comm_init;
  decltype(&ncclCommFinalize) comm_finalize;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclCommAbort) comm_abort;
  decltype(&ncclCommGetAsyncError) comm_get_async_error;
  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetLastError) get_last_error;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclReduceScatter) reduce_scatter;
  decltype(&ncclAllGather) all_gather;
  decltype(&ncclBroadcast) broadcast;
};

// Error where there is no libnccl.so.2, or one that is too old. From the first call on the switch
// of NVLink does no sums (NCCL_NVLS_ENABLE=0) unless the environment says it shall: it takes them
// in another order each time.
const Nccl& nccl();
std::string nccl_version();  // "2.28.9"

}  // namespace folio::cuda

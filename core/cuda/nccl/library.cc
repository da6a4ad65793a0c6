#include "core/cuda/nccl/library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "core/check.h"

namespace folio::cuda {
namespace {

#if defined(CUDA_EMULATOR)

Nccl open_nccl() {
  return {ncclGetVersion,   ncclGetUniqueId, ncclCommInitRankConfig, ncclCommFinalize,
          ncclCommDestroy,  ncclCommAbort,   ncclCommGetAsyncError,  ncclGetErrorString,
          ncclGetLastError, ncclAllReduce,   ncclReduceScatter,      ncclAllGather,
          ncclBroadcast};
}

#else

// The call of that name.
class Call {
 public:
  Call(void* library, const char* name) : address_(dlsym(library, name)) {
    check(address_ != nullptr, "cuda: libnccl.so.2 has no {}: install NCCL 2.18 or newer", name);
  }
  template <class Function>
  operator Function*() const {
    return reinterpret_cast<Function*>(address_);
  }

 private:
  void* address_;
};

Nccl open_nccl() {
  void* library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    fail(
        "cuda: several GPUs need NCCL: {}; install libnccl2 from NVIDIA's packages, or PyPI's "
        "nvidia-nccl-cu13 and set LD_LIBRARY_PATH to its folder nvidia/nccl/lib",
        dlerror());
  auto call = [&](const char* name) { return Call(library, name); };
  return {.get_version = call("ncclGetVersion"),
          .get_unique_id = call("ncclGetUniqueId"),
          .comm_init = call("ncclCommInitRankConfig"),
          .comm_finalize = call("ncclCommFinalize"),
          .comm_destroy = call("ncclCommDestroy"),
          .comm_abort = call("ncclCommAbort"),
          .comm_get_async_error = call("ncclCommGetAsyncError"),
          .get_error_string = call("ncclGetErrorString"),
          .get_last_error = call("ncclGetLastError"),
          .all_reduce = call("ncclAllReduce"),
          .reduce_scatter = call("ncclReduceScatter"),
          .all_gather = call("ncclAllGather"),
          .broadcast = call("ncclBroadcast")};
}

#endif

}  // namespace

const Nccl& nccl() {
  static const Nccl calls = [] {
    setenv("NCCL_NVLS_ENABLE", "0", 0);
    return open_nccl();
  }();
  return calls;
}

std::string nccl_version() {
  int version = 0;
  nccl().get_version(&version);
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace folio::cuda

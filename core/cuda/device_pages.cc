#include "core/cuda/device_pages.h"

#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "core/cuda/status.h"

namespace folio::cuda {
namespace {

// The driver's call of that name, found at run time: a machine without a driver can start folio.
template <class Function>
Function* driver_call(const char* name) {
  constexpr unsigned version = 12000;  // whose signatures these are
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check_status(
      cudaGetDriverEntryPointByVersion(name, &function, version, cudaEnableDefault, &found),
      "finding the driver's {}", name);
  check(found == cudaDriverEntryPointSuccess, "cuda: the driver has no {}; install a newer one",
        name);
  return reinterpret_cast<Function*>(function);
}

struct Driver {
  decltype(&cuGetErrorString) error_string =
      driver_call<decltype(cuGetErrorString)>("cuGetErrorString");
  decltype(&cuMemGetAllocationGranularity) granularity =
      driver_call<decltype(cuMemGetAllocationGranularity)>("cuMemGetAllocationGranularity");
  decltype(&cuMemAddressReserve) reserve =
      driver_call<decltype(cuMemAddressReserve)>("cuMemAddressReserve");
  decltype(&cuMemAddressFree) unreserve =
      driver_call<decltype(cuMemAddressFree)>("cuMemAddressFree");
  decltype(&cuMemCreate) create = driver_call<decltype(cuMemCreate)>("cuMemCreate");
  decltype(&cuMemRelease) release = driver_call<decltype(cuMemRelease)>("cuMemRelease");
  decltype(&cuMemMap) map = driver_call<decltype(cuMemMap)>("cuMemMap");
  decltype(&cuMemUnmap) unmap = driver_call<decltype(cuMemUnmap)>("cuMemUnmap");
  decltype(&cuMemSetAccess) set_access = driver_call<decltype(cuMemSetAccess)>("cuMemSetAccess");
};

const Driver& driver() {
  static const Driver calls;
  return calls;
}

void check_driver(CUresult status, const char* call, size_t bytes) {
  if (status == CUDA_SUCCESS) return;
  const char* why = nullptr;
  driver().error_string(status, &why);
  fail("cuda: {} of {} bytes: {} (CUresult {})", call, bytes, why ? why : "unknown error",
       int(status));
}

CUmemAllocationProp memory_of(int device) {
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  prop.location.id = device;
  return prop;
}

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

CUdeviceptr pointer_of(char* address) { return reinterpret_cast<CUdeviceptr>(address); }

}  // namespace

DevicePages::DevicePages(int device) : device_(device) {
  check_status(cudaSetDevice(device), "cudaSetDevice({})", device);
  size_t free = 0, total = 0;
  check_status(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  const CUmemAllocationProp prop = memory_of(device);
  check_driver(driver().granularity(&unit_, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
               "cuMemGetAllocationGranularity", 0);
  limit_ = round_up(total, unit_);
  CUdeviceptr base = 0;
  check_driver(driver().reserve(&base, limit_, 0, 0, 0), "cuMemAddressReserve", limit_);
  base_ = reinterpret_cast<char*>(base);
}

DevicePages::~DevicePages() {
  if (end_ > 0) driver().unmap(pointer_of(base_), end_);
  driver().unreserve(pointer_of(base_), limit_);
}

// In steps of 32 units (64 MB), for each costs a call of the driver; in single ones where those are
// the last.
std::string DevicePages::grow(size_t end) {
  if (end <= end_) return "";
  const size_t step = 32 * unit_;
  if (end <= limit_ && (add(round_up(end - end_, step)) || add(round_up(end - end_, unit_))))
    return "";
  size_t free = 0, total = 0;
  check_status(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return fmt::format("{} left of the {} of cuda; make batch_size or block_size smaller", free,
                     total);
}

bool DevicePages::add(size_t bytes) {
  bytes = std::min(bytes, limit_ - end_);
  const CUmemAllocationProp prop = memory_of(device_);
  CUmemGenericAllocationHandle handle = 0;
  const CUresult status = driver().create(&handle, bytes, &prop, 0);
  if (status == CUDA_ERROR_OUT_OF_MEMORY) return false;
  check_driver(status, "cuMemCreate", bytes);
  const CUdeviceptr begin = pointer_of(base_ + end_);
  const CUresult mapped = driver().map(begin, bytes, 0, handle, 0);
  driver().release(handle);  // the mapping keeps the memory
  check_driver(mapped, "cuMemMap", bytes);
  CUmemAccessDesc access{};
  access.location = prop.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  check_driver(driver().set_access(begin, bytes, &access, 1), "cuMemSetAccess", bytes);
  end_ += bytes;
  return true;
}

}  // namespace folio::cuda

// The calls of the CUDA driver. Memory is counted when it is created, as CUDA does, and given back
// when it is neither mapped nor held by its handle.
#include <cuda.h>
#include <cuda_runtime.h>

#include <map>
#include <mutex>
#include <string_view>

#include "tests/cuda/emulator/device_memory.h"
#include "tests/cuda/emulator/stream.h"

namespace {

using folio::emulator::DeviceMemory;
using folio::emulator::runtime_mutex;

struct Created {
  size_t bytes;
  bool held;
  CUdeviceptr mapped;
};

std::map<CUmemGenericAllocationHandle, Created> created;

char* address_of(CUdeviceptr begin) { return reinterpret_cast<char*>(begin); }
bool whole(size_t bytes) { return bytes > 0 && bytes % DeviceMemory::page == 0; }
CUresult result(bool ok) { return ok ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }

void drop_unused(std::map<CUmemGenericAllocationHandle, Created>::iterator at) {
  if (at->second.held || at->second.mapped) return;
  DeviceMemory::get().give_back(at->second.bytes);
  created.erase(at);
}

}  // namespace

CUresult cuGetErrorString(CUresult error, const char** text) {
  *text = error == CUDA_SUCCESS               ? "no error"
          : error == CUDA_ERROR_OUT_OF_MEMORY ? "out of memory"
                                              : "invalid argument";
  return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationGranularity(size_t* granularity, const CUmemAllocationProp*,
                                       CUmemAllocationGranularity_flags) {
  *granularity = DeviceMemory::page;
  return CUDA_SUCCESS;
}

CUresult cuMemAddressReserve(CUdeviceptr* begin, size_t bytes, size_t, CUdeviceptr,
                             unsigned long long) {
  std::scoped_lock lock(runtime_mutex());
  if (!whole(bytes)) return CUDA_ERROR_INVALID_VALUE;
  *begin = reinterpret_cast<CUdeviceptr>(DeviceMemory::get().reserve(bytes));
  return *begin ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemAddressFree(CUdeviceptr, size_t) { return CUDA_SUCCESS; }  // none is used twice

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t bytes,
                     const CUmemAllocationProp* prop, unsigned long long) {
  std::scoped_lock lock(runtime_mutex());
  if (!whole(bytes) || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
      prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE || prop->location.id != 0)
    return CUDA_ERROR_INVALID_VALUE;
  if (!DeviceMemory::get().take(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  static CUmemGenericAllocationHandle last = 0;
  *handle = ++last;
  created[*handle] = {bytes, true, 0};
  return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  std::scoped_lock lock(runtime_mutex());
  auto at = created.find(handle);
  if (at == created.end() || !at->second.held) return CUDA_ERROR_INVALID_VALUE;
  at->second.held = false;
  drop_unused(at);
  return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr begin, size_t bytes, size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long) {
  std::scoped_lock lock(runtime_mutex());
  auto at = created.find(handle);
  if (at == created.end() || at->second.bytes != bytes || offset != 0 || at->second.mapped ||
      begin % DeviceMemory::page != 0 || !DeviceMemory::get().map(address_of(begin), bytes))
    return CUDA_ERROR_INVALID_VALUE;
  at->second.mapped = begin;
  return CUDA_SUCCESS;
}

// Of all mappings in the range, which they must fill.
CUresult cuMemUnmap(CUdeviceptr begin, size_t bytes) {
  std::scoped_lock lock(runtime_mutex());
  folio::emulator::run_everything();
  size_t unmapped = 0;
  for (auto next = created.begin(); next != created.end();) {
    auto at = next++;
    Created& memory = at->second;
    if (memory.mapped < begin || memory.mapped + memory.bytes > begin + bytes) continue;
    DeviceMemory::get().unmap(address_of(memory.mapped), memory.bytes);
    unmapped += memory.bytes;
    memory.mapped = 0;
    drop_unused(at);
  }
  return result(unmapped == bytes);
}

CUresult cuMemSetAccess(CUdeviceptr begin, size_t bytes, const CUmemAccessDesc* access,
                        size_t count) {
  std::scoped_lock lock(runtime_mutex());
  return result(count == 1 && access->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE &&
                DeviceMemory::get().make_accessible(address_of(begin), bytes));
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  static const std::map<std::string_view, void*> calls = {
      {"cuGetErrorString", reinterpret_cast<void*>(cuGetErrorString)},
      {"cuMemGetAllocationGranularity", reinterpret_cast<void*>(cuMemGetAllocationGranularity)},
      {"cuMemAddressReserve", reinterpret_cast<void*>(cuMemAddressReserve)},
      {"cuMemAddressFree", reinterpret_cast<void*>(cuMemAddressFree)},
      {"cuMemCreate", reinterpret_cast<void*>(cuMemCreate)},
      {"cuMemRelease", reinterpret_cast<void*>(cuMemRelease)},
      {"cuMemMap", reinterpret_cast<void*>(cuMemMap)},
      {"cuMemUnmap", reinterpret_cast<void*>(cuMemUnmap)},
      {"cuMemSetAccess", reinterpret_cast<void*>(cuMemSetAccess)},
  };
  auto call = calls.find(symbol);
  *function = call == calls.end() ? nullptr : call->second;
  *found = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// As much of libcuda.so.1 as cuDNN wants while it makes a plan: kernels are taken as loaded, and
// nothing runs. cuda.h is not included, since it renames half of these functions.

// What cuDNN looks for and does not call: CUDA_ERROR_NOT_SUPPORTED.
#define NOT_CALLED(name) \
  extern "C" int name() { return 801; }

NOT_CALLED(cuCtxGetCurrent)
NOT_CALLED(cuCtxGetLimit)
NOT_CALLED(cuCtxPopCurrent)
NOT_CALLED(cuCtxPushCurrent)
NOT_CALLED(cuDeviceGet)
NOT_CALLED(cuDeviceGetCount)
NOT_CALLED(cuDriverGetVersion)
NOT_CALLED(cuGetErrorName)
NOT_CALLED(cuGetErrorString)
NOT_CALLED(cuKernelGetAttribute)
NOT_CALLED(cuKernelSetAttribute)
NOT_CALLED(cuLaunchCooperativeKernel)
NOT_CALLED(cuLaunchKernel)
NOT_CALLED(cuLaunchKernelEx)
NOT_CALLED(cuLibraryLoadFromFile)
NOT_CALLED(cuLinkAddData)
NOT_CALLED(cuLinkComplete)
NOT_CALLED(cuLinkCreate)
NOT_CALLED(cuLinkDestroy)
NOT_CALLED(cuOccupancyMaxPotentialClusterSize)
NOT_CALLED(cuStreamGetCtx)

namespace {
int something;  // whose address stands for what was loaded
}

int loading_status = 0;  // what it returns to load a kernel, for the tests to set

extern "C" int cuLibraryLoadData(void** library) {
  *library = &something;
  return loading_status;
}

extern "C" int cuLibraryUnload() { return 0; }

extern "C" int cuLibraryGetKernel(void** kernel) {
  *kernel = &something;
  return 0;
}

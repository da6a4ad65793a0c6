#include "core/cuda/cudnn_attention.h"

#include <map>
#include <mutex>
#include <tuple>

#include "core/array.h"
#include "core/cuda/status.h"
#include "core/cuda/stream.h"

namespace folio::cuda {
namespace {

const CudnnPlan& plan_of(AttentionPass pass, const AttentionSizes& s) {
  static auto& plans = *new std::map<std::tuple<AttentionPass, int, int, int, int>, CudnnPlan>;
  const auto key = std::tuple(pass, s.B, s.T, s.H, s.D);
  auto found = plans.find(key);
  if (found == plans.end())
    found = plans
                .emplace(std::piecewise_construct, std::tuple(key),
                         std::tuple(pass, s, PlanTarget{device_sm(), ""}))
                .first;
  return found->second;
}

}  // namespace

int device_sm() {
  static const int sm = [] {
    int device = 0, major = 0, minor = 0;
    check_status(cudaGetDevice(&device), "cudaGetDevice");
    check_status(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
                 "cudaDevAttrComputeCapabilityMajor of device {}", device);
    check_status(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
                 "cudaDevAttrComputeCapabilityMinor of device {}", device);
    return 10 * major + minor;
  }();
  return sm;
}

bool cudnn_attention(AttentionPass pass, const AttentionSizes& sizes,
                     const AttentionArrays& arrays) {
  if (!why_no_cudnn().empty()) return false;
  static std::mutex& mutex = *new std::mutex;  // for the plans, and while one of them is queued
  const std::lock_guard lock(mutex);
  const CudnnPlan& plan = plan_of(pass, sizes);
  if (!is_usable(plan)) return false;
  const Array workspace({int64_t(plan.workspace())}, DType::i8, RunningOn::device().value());
  plan.run(arrays, workspace.address(), stream());
  return true;
}

}  // namespace folio::cuda

#include "core/cuda/cuda_backend.h"

namespace folio {
namespace {

class CudaSamplingOps final : public SamplingOps {
 public:
  Array draw(const Array&, int64_t, const SamplerOptions&, std::span<const RowDraw>) override {
    fail("draw: a CUDA device does not sample; use --device=cpu");
  }
};

}  // namespace

SamplingOps& cuda_sampling() {
  static auto& operations = *new CudaSamplingOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

#include "core/backend/rotary.h"

#include "core/cuda/cuda_backend.h"

namespace folio {
namespace {

class CudaRotaryOps final : public RotaryOps {
 public:
  Array table(const Array&, int64_t, int64_t, double, DType) override {
    fail("rotary: is not yet on a CUDA device");
  }
  Array forward(const Array&, const Heads&, const HeadNorm&, const Array&) override {
    fail("rotary: is not yet on a CUDA device");
  }
  Array grad(const Array&, const Array&, const Heads&, const HeadNorm&, const Array&, Array*,
             Array*) override {
    fail("rotary: is not yet on a CUDA device");
  }
};

}  // namespace

RotaryOps& cuda_rotary() {
  static auto& operations = *new CudaRotaryOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

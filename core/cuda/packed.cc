#include "core/cuda/cuda_backend.h"

namespace folio {
namespace {

[[noreturn]] void refuse(const char* op) {
  fail("{}: a CUDA device has no weights packed for inference; sample with --device=cpu", op);
}

class CudaPackedOps final : public PackedOps {
 public:
  PackedWeight pack(const Array&, WeightFormat) override { refuse("pack"); }
  PackedWeight from_data(const Array&, int64_t, int64_t, WeightFormat) override {
    refuse("packed");
  }
  Array unpack_rows(const PackedWeight&, const Array&) override { refuse("unpack_rows"); }
  Array linear(const Array&, const PackedWeight&, const Array&, Unary) override {
    refuse("linear_packed");
  }
};

}  // namespace

PackedOps& cuda_packed() {
  static auto& operations = *new CudaPackedOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

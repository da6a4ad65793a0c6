#include "core/cuda/cuda_backend.h"

namespace folio {
namespace {

[[noreturn]] void refuse(const char* op) {
  fail("{}: a CUDA device has no KV cache; sample with --device=cpu", op);
}

class CudaKvCacheOps final : public KvCacheOps {
 public:
  KvLayer make_layer(int64_t, int64_t, int64_t, int64_t, DType) override { refuse("kv_cache"); }
  Array attention(const Array&, int64_t, KvLayer&, const Array&) override {
    refuse("attention_cached");
  }
  void copy(const KvLayer&, int64_t, KvLayer&, int64_t, int64_t) override { refuse("kv_cache"); }
};

}  // namespace

KvCacheOps& cuda_kv_cache() {
  static auto& operations = *new CudaKvCacheOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

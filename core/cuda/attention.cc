#include "core/cuda/kernels/attention.h"

#include "core/cuda/cuda_backend.h"
#include "core/cuda/stream.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::AttentionSizes;

AttentionSizes sizes_of(const Array& qkv, int64_t n_head) {
  return {int(qkv.dim(0)), int(qkv.dim(1)), int(n_head), int(qkv.dim(2) / 3 / n_head)};
}

class CudaAttentionOps final : public AttentionOps {
 public:
  Attended forward(const Array& qkv, int64_t n_head, const Dropout& dropout) override {
    count_flops(attention_flops(qkv));
    const AttentionSizes s = sizes_of(qkv, n_head);
    const DType sums = sum_dtype(qkv.dtype());
    Attended out{Array({s.B, s.T, s.C()}, qkv.dtype(), qkv.device()),
                 Array({s.B, s.H, s.T}, sums, qkv.device())};
    if (qkv.size() == 0) return out;
    visit_dtype(qkv.dtype(), "attention", [&](auto t) {
      using E = decltype(t);
      using F = SumOf<E>;
      cuda::attention<E, F>(qkv.data<E>(), out.y.data<E>(), out.lse.data<F>(), s, dropout,
                            cuda::stream());
    });
    return out;
  }

  Array grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
             const Dropout& dropout) override {
    count_flops(2 * attention_flops(qkv));
    const AttentionSizes s = sizes_of(qkv, n_head);
    Array dqkv(qkv.shape(), qkv.dtype(), qkv.device());
    if (qkv.size() == 0) return dqkv;
    const Array delta(forward.lse.shape(), forward.lse.dtype(), qkv.device());
    visit_dtype(qkv.dtype(), "attention_grad", [&](auto t) {
      using E = decltype(t);
      using F = SumOf<E>;
      cuda::attention_grad<E, F>(dy.data<E>(), qkv.data<E>(), forward.y.data<E>(),
                                 forward.lse.data<F>(), delta.data<F>(), dqkv.data<E>(), s, dropout,
                                 cuda::stream());
    });
    return dqkv;
  }
};

}  // namespace

AttentionOps& cuda_attention() {
  static auto& operations = *new CudaAttentionOps;
  return operations;
}

}  // namespace folio

#include "core/cuda/attention.h"

#include "core/cuda/cuda_backend.h"
#include "core/cuda/cudnn_attention.h"
#include "core/cuda/stream.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::AttentionArrays;
using cuda::AttentionPass;
using cuda::AttentionSizes;

#if defined(CUDA_EMULATOR)  // which cannot run cuDNN's kernels
constexpr bool has_cudnn = false;
#else
constexpr bool has_cudnn = true;
#endif

AttentionSizes sizes_of(const Array& qkv, const Heads& heads) {
  const int64_t T = qkv.dim(1);
  const int64_t window = heads.window < T ? heads.window : 0;  // a larger one leaves nothing out
  return {int(qkv.dim(0)),      int(T),     int(heads.n_head), int(heads.width),
          int(heads.n_kv_head), int(window)};
}

class CudaAttentionOps final : public AttentionOps {
 public:
  explicit CudaAttentionOps(bool cudnn_first) : cudnn_first_(cudnn_first) {}

  Attended forward(const Array& qkv, const Heads& heads, const Dropout& dropout) override {
    count_flops(attention_flops(qkv, heads));
    const AttentionSizes s = sizes_of(qkv, heads);
    const DType sums = sum_dtype(qkv.dtype());
    Attended out{Array({s.B, s.T, s.C()}, qkv.dtype(), qkv.device()),
                 Array({s.B, s.H, s.T}, sums, qkv.device())};
    if (qkv.size() == 0) return out;
    const bool done = by_cudnn(AttentionPass::forward, qkv.dtype(), s, dropout, [&] {
      return AttentionArrays{
          .qkv = qkv.data<bfloat16>(), .y = out.y.data<bfloat16>(), .lse = out.lse.data<float>()};
    });
    if (done) return out;
    visit_dtype(qkv.dtype(), "attention", [&](auto t) {
      using E = decltype(t);
      using F = SumOf<E>;
      cuda::attention<E, F>(qkv.data<E>(), out.y.data<E>(), out.lse.data<F>(), s, dropout,
                            cuda::stream());
    });
    return out;
  }

  Array grad(const Array& dy, const Array& qkv, const Attended& forward, const Heads& heads,
             const Dropout& dropout) override {
    count_flops(2 * attention_flops(qkv, heads));
    const AttentionSizes s = sizes_of(qkv, heads);
    Array dqkv(qkv.shape(), qkv.dtype(), qkv.device());
    if (qkv.size() == 0) return dqkv;
    const bool done = by_cudnn(AttentionPass::grad, qkv.dtype(), s, dropout, [&] {
      return AttentionArrays{.qkv = qkv.data<bfloat16>(),
                             .y = forward.y.data<bfloat16>(),
                             .lse = forward.lse.data<float>(),
                             .dy = dy.data<bfloat16>(),
                             .dqkv = dqkv.data<bfloat16>()};
    });
    if (done) return dqkv;
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

 private:
  // Whether cuDNN has queued it; `arrays` is called if it is asked.
  template <class Arrays>
  bool by_cudnn(AttentionPass pass, DType dtype, const AttentionSizes& sizes,
                const Dropout& dropout, Arrays&& arrays) const {
    if constexpr (has_cudnn)
      return cudnn_first_ && cuda::is_for_cudnn(dtype, sizes, dropout, cuda::device_sm()) &&
             cuda::cudnn_attention(pass, sizes, arrays());
    return false;
  }

  bool cudnn_first_;
};

}  // namespace

namespace cuda {

bool is_for_cudnn(DType dtype, const AttentionSizes& sizes, const Dropout& dropout, int sm) {
  return dtype == DType::bf16 && !dropout.enabled() && sizes.D % 8 == 0 && sizes.D <= 128 &&
         sizes.KV == sizes.H && sizes.window == 0 && sm >= 80;
}

}  // namespace cuda

AttentionOps& cuda_attention() {
  static auto& operations = *new CudaAttentionOps(true);
  return operations;
}

AttentionOps& cuda_attention_kernels() {
  static auto& operations = *new CudaAttentionOps(false);
  return operations;
}

}  // namespace folio

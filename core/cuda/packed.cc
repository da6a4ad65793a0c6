#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/packed/packed_linear.h"
#include "core/cuda/packed_layout.h"
#include "core/cuda/stream.h"
#include "core/devices/check_packed.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

class CudaPackedOps final : public PackedOps {
 public:
  PackedWeight pack(const Array& w, WeightFormat format) override {
    check_pack(w, format);
    return cuda::pack_weight(w, format);
  }

  PackedWeight from_data(const Array& data, int64_t N, int64_t K, WeightFormat format) override {
    check_packed_data(data, N, K, format);
    return {data, N, K, format};
  }

  Array unpack_rows(const PackedWeight& w, const Array& rows) override {
    Array to({rows.size(), w.k}, sum_dtype(w.data.dtype()), rows.device());
    cuda::unpack_rows(w, rows, to);
    return to;
  }

  Array linear(const Array& x, const PackedWeight& w, const Array& bias, Unary act) override {
    Array y = unset_linear_packed(x, w);
    if (y.size() == 0) return y;
    visit_dtype(x.dtype(), "linear_packed", [&](auto t) {
      using X = decltype(t);
      const int64_t bytes = cuda::packed_linear_scratch<X>(w.format, x.rows(), int(w.k));
      const Array scratch({bytes}, DType::i8, x.device());
      const bool bias_is_bf16 = bias.defined() && bias.dtype() == DType::bf16;
      const void* shift = nullptr;
      if (bias_is_bf16)
        shift = bias.data<bfloat16>();
      else if (bias.defined())
        shift = bias.data<SumOf<X>>();
      cuda::packed_linear<X>({x.data<X>(), w.data.address(), w.format, shift, bias_is_bf16, act,
                              y.data<X>(), x.rows(), int(w.n), int(w.k)},
                             scratch.address(), cuda::stream());
    });
    return y;
  }
};

}  // namespace

PackedOps& cuda_packed() {
  static auto& operations = *new CudaPackedOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

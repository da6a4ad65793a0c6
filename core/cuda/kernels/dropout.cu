#include "core/cuda/kernels/dropout.h"

#include "core/cuda/kernels/map.h"

namespace folio::cuda {
namespace {

constexpr int of_a_block = 8;  // numbers of a Philox block: those of one thread

template <class Y, class X>
struct Arguments {
  const Y* residual;
  const X* x;
  Y* y;
  int64_t n;
  Dropout dropout;
  double scale;
};

// `pack`: elements that are read at a time, 8 or, where the addresses do not allow that, 1.
template <int pack, class Y, class X>
__global__ void __launch_bounds__(map_threads) dropout_kernel(Arguments<Y, X> in) {
  using A = ComputeType<Y, X>;
  const int64_t block = int64_t(blockIdx.x) * map_threads + threadIdx.x, first = block * of_a_block;
  if (first >= in.n) return;
  const DropoutNumbers numbers(in.dropout, first);
  for (int i = 0; i < of_a_block && first + i < in.n; i += pack) {
    const auto x = load_pack<pack>(in.x + first + i);
    Pack<Y, pack> out{};
    if (in.residual) out = load_pack<pack>(in.residual + first + i);
    out = add_dropped<A>(out, x, numbers, i, in.dropout.threshold, A(in.scale));
    store_pack<pack>(in.y + first + i, out);
  }
}

}  // namespace

template <class Y, class X>
void add_dropout(const Y* residual, const X* x, const Dropout& dropout, Y* y, int64_t n,
                 cudaStream_t stream) {
  if (n == 0) return;
  auto aligned = [](const auto* p) {
    return reinterpret_cast<uintptr_t>(p) % (sizeof(*p) * of_a_block) == 0;
  };
  const Arguments<Y, X> arguments{residual, x, y, n, dropout, dropout.scale()};
  const int64_t blocks = (n + of_a_block - 1) / of_a_block;
  const LaunchShape shape{unsigned((blocks + map_threads - 1) / map_threads), map_threads};
  if (n % of_a_block == 0 && aligned(x) && aligned(y) && aligned(residual))
    launch("add_dropout", dropout_kernel<of_a_block, Y, X>, shape, stream, arguments);
  else
    launch("add_dropout", dropout_kernel<1, Y, X>, shape, stream, arguments);
}

template void add_dropout(const double*, const double*, const Dropout&, double*, int64_t,
                          cudaStream_t);
template void add_dropout(const float*, const float*, const Dropout&, float*, int64_t,
                          cudaStream_t);
template void add_dropout(const float*, const bfloat16*, const Dropout&, float*, int64_t,
                          cudaStream_t);
template void add_dropout(const bfloat16*, const float*, const Dropout&, bfloat16*, int64_t,
                          cudaStream_t);
template void add_dropout(const bfloat16*, const bfloat16*, const Dropout&, bfloat16*, int64_t,
                          cudaStream_t);

}  // namespace folio::cuda

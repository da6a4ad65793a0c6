#include "core/cuda/kernels/swiglu.h"

#include <algorithm>
#include <type_traits>

#include "core/cuda/kernels/map.h"
#include "core/unary_ops.h"

namespace folio::cuda {
namespace {

// A block a row.
template <class T, int n>
__global__ void __launch_bounds__(map_threads) forward_kernel(const T* x, T* y, int64_t F) {
  using A = ComputeType<T>;
  const T* gates = x + blockIdx.x * 2 * F;
  for (int64_t c = threadIdx.x * n; c < F; c += blockDim.x * n) {
    const auto gate = load_pack<n>(gates + c), up = load_pack<n>(gates + F + c);
    Pack<T, n> out;
#pragma unroll
    for (int j = 0; j < n; ++j) out.at[j] = T(Silu::value(A(gate.at[j])) * A(up.at[j]));
    store_pack<n>(y + blockIdx.x * F + c, out);
  }
}

template <class T, int n>
__global__ void __launch_bounds__(map_threads)
    grad_kernel(const T* x, const T* dy, T* dx, T* y, int64_t F) {
  using A = ComputeType<T>;
  const T* gates = x + blockIdx.x * 2 * F;
  T* to = dx + blockIdx.x * 2 * F;
  for (int64_t c = threadIdx.x * n; c < F; c += blockDim.x * n) {
    const auto gate = load_pack<n>(gates + c), up = load_pack<n>(gates + F + c);
    const auto grads = load_pack<n>(dy + blockIdx.x * F + c);
    Pack<T, n> of_gate, of_up, out;
#pragma unroll
    for (int j = 0; j < n; ++j) {
      const A g = A(grads.at[j]), act = Silu::value(A(gate.at[j]));
      of_gate.at[j] = T(g * A(up.at[j]) * Silu::slope(A(gate.at[j])));
      of_up.at[j] = T(g * act);
      out.at[j] = T(act * A(up.at[j]));
    }
    store_pack<n>(to + c, of_gate);
    store_pack<n>(to + F + c, of_up);
    if (y) store_pack<n>(y + blockIdx.x * F + c, out);
  }
}

// f(integral_constant<int, n>(), shape): packs where rows are whole ones, else single elements.
template <class T, class Visit>
void visit_rows(int64_t rows, int64_t F, Visit&& visit) {
  if (rows == 0 || F == 0) return;
  auto run = [&]<int n>(std::integral_constant<int, n> pack) {
    const auto threads = unsigned(std::min<int64_t>(map_threads, (F / n + 31) / 32 * 32));
    visit(pack, LaunchShape{unsigned(rows), threads});
  };
  constexpr int n = pack_size<T>;
  if (F % n == 0)
    run(std::integral_constant<int, n>());
  else
    run(std::integral_constant<int, 1>());
}

}  // namespace

template <class T>
void swiglu(const T* x, T* y, int64_t rows, int64_t F, cudaStream_t stream) {
  visit_rows<T>(rows, F, [&]<int n>(std::integral_constant<int, n>, const LaunchShape& shape) {
    launch("swiglu", forward_kernel<T, n>, shape, stream, x, y, F);
  });
}

template <class T>
void swiglu_grad(const T* x, const T* dy, T* dx, T* y, int64_t rows, int64_t F,
                 cudaStream_t stream) {
  visit_rows<T>(rows, F, [&]<int n>(std::integral_constant<int, n>, const LaunchShape& shape) {
    launch("swiglu_grad", grad_kernel<T, n>, shape, stream, x, dy, dx, y, F);
  });
}

template void swiglu(const double*, double*, int64_t, int64_t, cudaStream_t);
template void swiglu(const float*, float*, int64_t, int64_t, cudaStream_t);
template void swiglu(const bfloat16*, bfloat16*, int64_t, int64_t, cudaStream_t);
template void swiglu_grad(const double*, const double*, double*, double*, int64_t, int64_t,
                          cudaStream_t);
template void swiglu_grad(const float*, const float*, float*, float*, int64_t, int64_t,
                          cudaStream_t);
template void swiglu_grad(const bfloat16*, const bfloat16*, bfloat16*, bfloat16*, int64_t, int64_t,
                          cudaStream_t);

}  // namespace folio::cuda

#pragma once
// y[i] = f(x[i], ...): what all elementwise kernels are.
#include <algorithm>
#include <string_view>
#include <type_traits>

#include "core/cuda/kernels/pack.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {

// float, or double where one of the types is that.
template <class... T>
using ComputeType = std::conditional_t<(std::is_same_v<T, double> || ...), double, float>;

inline constexpr int map_threads = 256;

template <int n, class F, class Y, class... X>
__global__ void __launch_bounds__(map_threads) map_kernel(F f, Y* y, int64_t packs, const X*... x) {
  after_previous_kernel();
  using A = ComputeType<Y, X...>;
  const int64_t i = int64_t(blockIdx.x) * map_threads + threadIdx.x;
  if (i >= packs) return;
  auto compute = [&](const Pack<X, n>&... values) {
    Pack<Y, n> out;
#pragma unroll
    for (int j = 0; j < n; ++j) out.at[j] = Y(f(A(values.at[j])...));
    store_pack<n>(y + i * n, out);
  };
  compute(load_pack<n>(x + i * n)...);
}

// Over n elements, in packs where the addresses allow that, and the rest one by one. F is a struct
// whose operator() takes and gives the ComputeType.
template <class F, class Y, class... X>
void map(std::string_view name, F f, Y* y, int64_t n, cudaStream_t stream, const X*... x) {
  constexpr int pack = 16 / int(std::max({sizeof(Y), sizeof(X)...}));
  auto aligned = [&](const auto* p) {
    return reinterpret_cast<uintptr_t>(p) % (sizeof(*p) * pack) == 0;
  };
  auto blocks = [](int64_t threads) { return unsigned((threads + map_threads - 1) / map_threads); };
  const int64_t packs = (aligned(y) && ... && aligned(x)) ? n / pack : 0, done = packs * pack;
  if (packs > 0)
    launch_early(name, map_kernel<pack, F, Y, X...>, {blocks(packs), map_threads}, stream, f, y,
                 packs, x...);
  if (done < n)
    launch_early(name, map_kernel<1, F, Y, X...>, {blocks(n - done), map_threads}, stream, f,
                 y + done, n - done, (x + done)...);
}

}  // namespace folio::cuda

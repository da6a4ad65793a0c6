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

// run(integral_constant<int, size>, first, count, blocks) for `count` packs of `size` elements from
// element `first` on, a thread each: for packs of `pack`, where all addresses allow them, and for
// the rest of n elements one by one. A null pointer is any address.
template <int pack, class Run, class... T>
void in_packs(int64_t n, Run&& run, const T*... pointers) {
  auto aligned = [](const auto* p) {
    return reinterpret_cast<uintptr_t>(p) % (sizeof(*p) * pack) == 0;
  };
  auto blocks = [](int64_t threads) { return unsigned((threads + map_threads - 1) / map_threads); };
  const int64_t packs = (... && aligned(pointers)) ? n / pack : 0, done = packs * pack;
  if (packs > 0) run(std::integral_constant<int, pack>(), int64_t{0}, packs, blocks(packs));
  if (done < n) run(std::integral_constant<int, 1>(), done, n - done, blocks(n - done));
}

// Over n elements in packs. F is a struct whose operator() takes and gives the ComputeType.
template <class F, class Y, class... X>
void map(std::string_view name, F f, Y* y, int64_t n, cudaStream_t stream, const X*... x) {
  constexpr int pack = 16 / int(std::max({sizeof(Y), sizeof(X)...}));
  auto run = [&]<int size>(std::integral_constant<int, size>, int64_t first, int64_t count,
                           unsigned blocks) {
    launch_early(name, map_kernel<size, F, Y, X...>, {blocks, map_threads}, stream, f, y + first,
                 count, (x + first)...);
  };
  in_packs<pack>(n, run, y, x...);
}

}  // namespace folio::cuda

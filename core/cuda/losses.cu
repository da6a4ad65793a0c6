#include <algorithm>
#include <cmath>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/kernels/pack.h"
#include "core/cuda/matmul_plan.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each_row, cuda::sum_of_warp;

template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

// *count = how many of the targets are not -1.
void count_targets(const int32_t* targets, int64_t m, double* count) {
  each_row("cross_entropy's targets", 1, [=] __device__(int64_t, int lane) {
    double mine = 0;
    for (int64_t i = lane; i < m; i += 32) mine += targets[i] >= 0;
    mine = sum_of_warp(mine);
    if (lane == 0) *count = mine;
  });
}

// *loss = factor times the mean; no target counts: NaN, as in PyTorch.
template <class A>
void average(const double* losses, int64_t m, const double* count, double factor, A* loss) {
  each_row("cross_entropy's mean", 1, [=] __device__(int64_t, int lane) {
    double sum = 0;
    for (int64_t i = lane; i < m; i += 32) sum += losses[i];
    sum = sum_of_warp(sum);
    if (lane == 0) *loss = A(factor * (sum / *count));
  });
}

constexpr int threads = 256;

template <class A>
struct RowSums {
  A of_warp[threads / 32];
};

// combine over the block; every thread gets it. `sums` may be used again after the next barrier.
template <class A, class F>
__device__ A over_block(A x, RowSums<A>& sums, F combine) {
  for (int lanes = 16; lanes > 0; lanes /= 2)
    x = combine(x, __shfl_xor_sync(cuda::all_lanes, x, lanes));
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums.of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  x = sums.of_warp[0];
  for (int i = 1; i < threads / 32; ++i) x = combine(x, sums.of_warp[i]);
  return x;
}

// A block a row of logits [rows, V]: its loss, and in `dlogits`, which may be null or the logits,
// factor / count times (softmax - one at the target). A row whose target is -1 has neither.
template <class A, class G>
__global__ void __launch_bounds__(threads)
    softmax_loss_kernel(const A* logits, const int32_t* targets, int64_t V, double factor,
                        const double* count, double* losses, G* dlogits) {
  const int64_t row = blockIdx.x;
  const A* x = logits + row * V;
  G* to = dlogits ? dlogits + row * V : nullptr;
  const int32_t target = targets[row];
  if (target < 0) {
    if (threadIdx.x == 0) losses[row] = 0;
    if (to)
      for (int64_t i = threadIdx.x; i < V; i += threads) to[i] = G(0.0f);
    return;
  }
  auto& sums = cuda::shared<RowSums<A>>();
  A top = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x; i < V; i += threads) top = x[i] > top || x[i] != x[i] ? x[i] : top;
  top = over_block(top, sums, [](A a, A b) { return a > b || a != a ? a : b; });
  for (int64_t i = threadIdx.x; i < V; i += threads) sum += std::exp(x[i] - top);
  sum = over_block(sum, sums, [](A a, A b) { return a + b; });
  const A of_target = x[target];
  __syncthreads();  // before `to`, which may be x, is written
  if (threadIdx.x == 0) losses[row] = double(std::log(sum) + top - of_target);
  if (!to) return;
  const A scale = A(factor / *count), share = scale / sum;
  for (int64_t i = threadIdx.x; i < V; i += threads)
    to[i] = G(std::exp(x[i] - top) * share - (i == target ? scale : A(0)));
}

// Rows whose logits are held at once: at most 1 GiB of f32 unless V alone is larger, in equal
// parts.
int64_t chunk_rows(int64_t m, int64_t V) {
  const int64_t most = std::max<int64_t>(32, (int64_t(1) << 28) / V);
  const int64_t chunks = (m + most - 1) / most;
  return ((m + chunks - 1) / chunks + 7) / 8 * 8;
}

template <class T, class A = SumOf<T>>
CrossEntropy cross_entropy(const Array& x, const Array& w, const Array& targets, bool with_grad,
                           double factor) {
  const int64_t m = x.rows(), C = x.dim(-1), V = w.dim(0);
  const int64_t chunk = chunk_rows(std::max<int64_t>(m, 1), V);
  const Device device = x.device();
  CrossEntropy result{Array({}, dtype_of<A>, device), {}, {}};
  const Array losses({m}, DType::f64, device), count({}, DType::f64, device);
  const Array logits({chunk, V}, dtype_of<A>, device);
  const Array rows = x.reshape({m, C});
  Array dlogits;
  if (with_grad) {
    dlogits = std::is_same_v<A, T> ? logits : Array({chunk, V}, x.dtype(), device);
    result.dx = Array(x.shape(), x.dtype(), device);
    result.dw = Array(w.shape(), dtype_of<A>, device);
    if (m == 0) backend(x)->elementwise.fill(result.dw, 0);
  }
  count_targets(targets.data<int32_t>(), m, count.data<double>());
  for (int64_t i = 0; i < m; i += chunk) {
    const int64_t n = std::min(chunk, m - i);
    const cuda::Matrix xs{rows.slice(i, i + n).address(), x.dtype(), n, C},
        weight{w.address(), w.dtype(), V, C};
    cuda::Matrix transposed = weight;
    transposed.transposed = true;
    cuda::matmul(xs, transposed, logits.address(), dtype_of<A>, 1, 0, false);
    cuda::launch("cross_entropy", softmax_loss_kernel<A, T>, {unsigned(n), threads}, cuda::stream(),
                 logits.data<A>(), targets.data<int32_t>() + i, V, factor, count.data<double>(),
                 losses.data<double>() + i, with_grad ? dlogits.data<T>() : nullptr);
    if (!with_grad) continue;
    const cuda::Matrix dy{dlogits.address(), x.dtype(), n, V};
    cuda::matmul(dy, weight, result.dx.reshape({m, C}).slice(i, i + n).address(), x.dtype(), 1, 0,
                 false);
    cuda::Matrix dy_transposed = dy;
    dy_transposed.transposed = true;
    cuda::matmul(dy_transposed, xs, result.dw.address(), dtype_of<A>, 1, 0, i > 0);
  }
  average(losses.data<double>(), m, count.data<double>(), factor, result.loss.data<A>());
  return result;
}

class CudaLossOps final : public LossOps {
 public:
  CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                    bool with_grad, double factor) override {
    const Array weight = w.dtype() == x.dtype() ? w : backend(w)->elementwise.cast(w, x.dtype());
    return visit_dtype(x.dtype(), "linear_cross_entropy", [&](auto t) {
      return cross_entropy<decltype(t)>(x, weight, targets, with_grad, factor);
    });
  }

  Array linear_cross_entropy(const Array&, const PackedWeight&, const Array&) override {
    fail(
        "linear_cross_entropy: a CUDA device has no weights packed for inference; use "
        "--device=cpu");
  }
};

}  // namespace

LossOps& cuda_losses() {
  static auto& operations = *new CudaLossOps;
  return operations;
}

}  // namespace folio

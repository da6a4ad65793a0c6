#include "core/cuda/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/pack.h"
#include "core/cuda/matmul_plan.h"
#include "core/cuda/stream.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::load_pack, cuda::store_pack, cuda::Pack;

// log of the sum of exp(x): exp is of at most 0, as in Milakov & Gimelshein, "Online normalizer
// calculation for softmax", 2018. A NaN makes the sum NaN.
template <class A>
struct LogSum {
  A top = std::numeric_limits<A>::lowest(), sum = 0;

  __device__ void add(A x) {
    if (x > top) {
      sum = sum * std::exp(top - x) + A(1);
      top = x;
    } else {
      sum += std::exp(x - top);
    }
  }
  __device__ void add(const LogSum& other) {
    const A larger = other.top > top ? other.top : top;
    sum = sum * std::exp(top - larger) + other.sum * std::exp(other.top - larger);
    top = larger;
  }
};

template <class A, int warps>
struct WarpSums {
  LogSum<A> of[warps];
};

// Over the block's threads; every one gets it.
template <int threads, class A>
__device__ LogSum<A> over_block(LogSum<A> mine) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    LogSum<A> other;
    other.top = __shfl_xor_sync(cuda::all_lanes, mine.top, lanes);
    other.sum = __shfl_xor_sync(cuda::all_lanes, mine.sum, lanes);
    mine.add(other);
  }
  auto& warps = cuda::shared<WarpSums<A, threads / 32>>();
  if (threadIdx.x % 32 == 0) warps.of[threadIdx.x / 32] = mine;
  __syncthreads();
  LogSum<A> total = warps.of[0];
  for (int i = 1; i < threads / 32; ++i) total.add(warps.of[i]);
  return total;
}

// Logits of a row that a thread reads as one; rows begin at multiples of it.
template <class A>
constexpr int pack = cuda::pack_size<A>;

// c tanh(x / c), and what its derivative multiplies a gradient by; x itself unless `capped`.
template <bool capped, class A>
struct Softcap {
  A c;

  __device__ A value(A x) const {
    if constexpr (capped) return c * std::tanh(x / c);
    return x;
  }
  __device__ A grad(A value, A dy) const {
    if constexpr (capped) return dy * (A(1) - value / c * (value / c));
    return dy;
  }
};

// A block a row of products, V of every `ld`, of which `softcap` makes logits: its loss, and in
// `dlogits` [rows, ld], which may be null or the products, the gradient in them: factor / count
// times (softmax - one at the target), through the softcap. A row whose target is -1 has neither.
template <int threads, bool capped, class A, class G>
__global__ void __launch_bounds__(threads)
    softmax_loss_kernel(const A* logits, const int32_t* targets, int64_t V, int64_t ld,
                        double factor, Softcap<capped, A> softcap, const double* count,
                        double* losses, G* dlogits) {
  constexpr int n = pack<A>;
  const A* x = logits + blockIdx.x * ld;
  G* to = dlogits ? dlogits + blockIdx.x * ld : nullptr;
  const int32_t target = targets[blockIdx.x];
  const int64_t packed = V / n * n, first = int64_t(threadIdx.x) * n, step = threads * n;
  if (target < 0) {
    if (threadIdx.x == 0) losses[blockIdx.x] = 0;
    if (to)
      for (int64_t i = threadIdx.x; i < ld; i += threads) to[i] = G(0.0f);
    return;
  }
  const A of_target = softcap.value(x[target]);  // before `to`, which may be x, is written
  LogSum<A> mine;
  for (int64_t i = first; i < packed; i += step)
    for (const A logit : load_pack<n>(x + i).at) mine.add(softcap.value(logit));
  if (packed + threadIdx.x < V) mine.add(softcap.value(x[packed + threadIdx.x]));
  const LogSum<A> all = over_block<threads>(mine);
  if (threadIdx.x == 0) losses[blockIdx.x] = double(std::log(all.sum) + all.top - of_target);
  if (!to) return;
  const A scale = A(factor / *count), share = scale / all.sum;
  auto grad = [&](A product, int64_t i) {
    const A logit = softcap.value(product);
    return G(softcap.grad(logit, std::exp(logit - all.top) * share - (i == target ? scale : A(0))));
  };
  for (int64_t i = first; i < packed; i += step) {
    const auto from = load_pack<n>(x + i);
    Pack<G, n> out;
    for (int j = 0; j < n; ++j) out.at[j] = grad(from.at[j], i + j);
    store_pack(to + i, out);
  }
  if (const int64_t i = packed + threadIdx.x; i < V) to[i] = grad(x[i], i);
  for (int64_t i = V + threadIdx.x; i < ld; i += threads) to[i] = G(0.0f);
}

constexpr int sum_threads = 512;

struct Sums {
  double of_warp[sum_threads / 32];
};

// The sum of f(i) for i in [0, n) by the one block; every thread gets it.
template <class F>
__device__ double sum_over_block(int64_t n, F f) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < n; i += sum_threads) mine += f(i);
  mine = cuda::sum_of_warp(mine);
  auto& sums = cuda::shared<Sums>();
  if (threadIdx.x % 32 == 0) sums.of_warp[threadIdx.x / 32] = mine;
  __syncthreads();
  double total = 0;
  for (const double sum : sums.of_warp) total += sum;
  return total;
}

// *count = how many of the m targets are not -1.
__global__ void __launch_bounds__(sum_threads)
    count_kernel(const int32_t* targets, int64_t m, double* count) {
  const double sum = sum_over_block(m, [&](int64_t i) { return targets[i] >= 0 ? 1.0 : 0.0; });
  if (threadIdx.x == 0) *count = sum;
}

// *loss = factor times the mean; no target counts: NaN, as in PyTorch.
template <class A>
__global__ void __launch_bounds__(sum_threads)
    mean_kernel(const double* losses, int64_t m, const double* count, double factor, A* loss) {
  const double sum = sum_over_block(m, [&](int64_t i) { return losses[i]; });
  if (threadIdx.x == 0) *loss = A(factor * (sum / *count));
}

// Rows whose logits are held at once, in equal parts.
int64_t chunk_rows(int64_t m, int64_t V, int64_t most) {
  const int64_t most_rows = std::max<int64_t>(32, most / V);
  const int64_t chunks = (m + most_rows - 1) / most_rows;
  return ((m + chunks - 1) / chunks + 7) / 8 * 8;
}

// Columns of logits for V of them: an odd V is no multiple of what is read at once, and for its
// products cuBLASLt has none of its fast ways.
int64_t padded(int64_t V) { return (V + 127) / 128 * 128; }

// w [V, C] with zeros below -> [padded(V), C]
Array with_padding(const Array& w) {
  const int64_t V = w.dim(0);
  Array all({padded(V), w.dim(1)}, w.dtype(), w.device()), rest = all.slice(V, padded(V));
  backend(w)->layout.copy_block(w, 0, all, 0, V, 0);
  if (rest.size() > 0) backend(w)->elementwise.fill(rest, 0);
  return all;
}

// The losses of rows of products [rows, padded(V)], of which `softcap` makes logits, and, unless it
// is null, the gradient in them.
template <class A, class T>
void losses_of(const Array& products, const int32_t* targets, int64_t rows, int64_t V,
               double factor, double softcap, const Array& count, double* losses, T* dlogits) {
  auto launch = [&]<bool capped>(std::bool_constant<capped>) {
    const bool narrow = V <= 1024;  // a warp is enough for a row
    cuda::launch(
        "cross_entropy",
        narrow ? softmax_loss_kernel<32, capped, A, T> : softmax_loss_kernel<512, capped, A, T>,
        {unsigned(rows), narrow ? 32u : 512u}, cuda::stream(), products.data<A>(), targets, V,
        padded(V), factor, Softcap<capped, A>{A(softcap)}, count.data<double>(), losses, dlogits);
  };
  softcap > 0 ? launch(std::true_type()) : launch(std::false_type());
}

Array count_of(const Array& targets) {
  Array count({}, DType::f64, targets.device());
  cuda::launch("cross_entropy's count", count_kernel, {1, sum_threads}, cuda::stream(),
               targets.data<int32_t>(), targets.size(), count.data<double>());
  return count;
}

template <class A>
void write_mean(const Array& losses, const Array& count, double factor, Array& mean) {
  cuda::launch("cross_entropy's mean", mean_kernel<A>, {1, sum_threads}, cuda::stream(),
               losses.data<double>(), losses.size(), count.data<double>(), factor, mean.data<A>());
}

template <class T, class A = SumOf<T>>
CrossEntropy cross_entropy(const Array& x, const Array& w, const Array& targets, bool with_grad,
                           double factor, double softcap, int64_t most) {
  const int64_t m = x.rows(), C = x.dim(-1), V = w.dim(0);
  const int64_t ld = padded(V), chunk = chunk_rows(std::max<int64_t>(m, 1), V, most);
  const Device device = x.device();
  CrossEntropy result{Array({}, dtype_of<A>, device), {}, {}};
  const Array losses({m}, DType::f64, device), count = count_of(targets);
  const Array logits({chunk, ld}, dtype_of<A>, device), rows = x.reshape({m, C});
  Array dlogits, dx, all_dw;
  if (with_grad) {
    dlogits = std::is_same_v<A, T> ? logits : Array({chunk, ld}, x.dtype(), device);
    result.dx = Array(x.shape(), x.dtype(), device);
    result.dw = Array(w.shape(), dtype_of<A>, device);
    dx = result.dx.reshape({m, C});
    if (m == 0) backend(x)->elementwise.fill(result.dw, 0);
    all_dw = V == ld ? result.dw : Array({ld, C}, dtype_of<A>, device);
  }
  const Array all_w = V == ld ? w : with_padding(w);
  const cuda::Matrix weight{all_w.address(), w.dtype(), ld, C},
      weight_transposed{all_w.address(), w.dtype(), ld, C, true};
  for (int64_t i = 0; i < m; i += chunk) {
    const int64_t n = std::min(chunk, m - i);
    const cuda::Matrix xs{rows.slice(i, i + n).address(), x.dtype(), n, C};
    cuda::matmul(xs, weight_transposed, {logits.address(), dtype_of<A>, n, ld});
    losses_of<A, T>(logits, targets.data<int32_t>() + i, n, V, factor, softcap, count,
                    losses.data<double>() + i, with_grad ? dlogits.data<T>() : nullptr);
    if (!with_grad) continue;
    const cuda::Matrix dy{dlogits.address(), x.dtype(), n, ld},
        dy_transposed{dlogits.address(), x.dtype(), n, ld, true};
    cuda::matmul(dy, weight, {dx.slice(i, i + n).address(), x.dtype(), n, C});
    cuda::matmul(dy_transposed, xs, {all_dw.address(), dtype_of<A>, ld, C}, 1, i > 0);
  }
  if (with_grad && V < ld && m > 0) backend(x)->layout.copy_block(all_dw, 0, result.dw, 0, V, 0);
  write_mean<A>(losses, count, factor, result.loss);
  return result;
}

// x in the dtype of the logits.
template <class A>
Array packed_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets,
                           double softcap, int64_t most) {
  const int64_t m = x.rows(), chunk = chunk_rows(std::max<int64_t>(m, 1), w.n, most);
  const Device device = x.device();
  const Array losses({m}, DType::f64, device), count = count_of(targets),
                                               rows = x.reshape({m, w.k});
  Array logits({chunk, padded(w.n)}, dtype_of<A>, device), loss({}, dtype_of<A>, device);
  for (int64_t i = 0; i < m; i += chunk) {
    const int64_t n = std::min(chunk, m - i);
    const Array products = backend(x)->packed.linear(rows.slice(i, i + n), w, {}, Unary::none);
    Array to = logits.slice(0, n);
    backend(x)->layout.copy_block(products, 0, to, 0, w.n, 1);
    losses_of<A, A>(logits, targets.data<int32_t>() + i, n, w.n, 1, softcap, count,
                    losses.data<double>() + i, nullptr);
  }
  write_mean<A>(losses, count, 1, loss);
  return loss;
}

constexpr int64_t most_logits = int64_t{1} << 28;  // held at once

class CudaLossOps final : public LossOps {
 public:
  CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                    bool with_grad, double factor, double softcap) override {
    return cuda::linear_cross_entropy(x, w, targets, with_grad, factor, most_logits, softcap);
  }

  // The logits have the dtype of x: never bf16 here.
  Array linear_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets,
                             double softcap) override {
    if (x.dtype() == DType::f64)
      return packed_cross_entropy<double>(x, w, targets, softcap, most_logits);
    return packed_cross_entropy<float>(in_dtype(x, DType::f32), w, targets, softcap, most_logits);
  }
};

}  // namespace

CrossEntropy cuda::linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                        bool with_grad, double factor, int64_t most,
                                        double softcap) {
  const Array weight = in_dtype(w, x.dtype());
  return visit_dtype(x.dtype(), "linear_cross_entropy", [&](auto t) {
    return cross_entropy<decltype(t)>(x, weight, targets, with_grad, factor, softcap, most);
  });
}

LossOps& cuda_losses() {
  static auto& operations = *new CudaLossOps;
  return operations;
}

}  // namespace folio

#include "core/cuda/kernels/optimizer.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/cuda/kernels/pack.h"

namespace folio::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t chunk = 16 * threads;  // elements a block

// Arrays that one launch goes over, as the kernel's argument: block b has a chunk of the last array
// whose first_block is not above b.
template <class Entry>
struct Table {
  static constexpr int most = 256;  // an argument has at most 32 KB

  Entry entries[most];
  int64_t first_block[most];
  int count = 0;
  int64_t blocks = 0;

  void add(const Entry& entry) {
    entries[count] = entry;
    first_block[count++] = blocks;
    blocks += (entry.n + chunk - 1) / chunk;
  }
};

template <class Entry>
__device__ int entry_of_block(const Table<Entry>& table) {
  int low = 0, high = table.count;  // first_block[low] <= blockIdx.x < first_block[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (table.first_block[middle] <= int64_t(blockIdx.x) ? low : high) = middle;
  }
  return low;
}

// f(table) for as many tables as hold all entries.
template <class Entry, class F>
void for_tables(std::span<const Entry> entries, F&& f) {
  for (size_t first = 0; first < entries.size(); first += Table<Entry>::most) {
    Table<Entry> table{};
    for (const Entry& entry :
         entries.subspan(first, std::min<size_t>(Table<Entry>::most, entries.size() - first)))
      if (entry.n > 0) table.add(entry);
    if (table.count > 0) f(table);
  }
}

struct WarpSums {
  double sum[threads / 32];
};

__device__ double sum_of_block(double x) {
  auto& warps = shared<WarpSums>();
  x = sum_of_warp(x);
  if (threadIdx.x % 32 == 0) warps.sum[threadIdx.x / 32] = x;
  __syncthreads();
  double total = 0;
  for (double sum : warps.sum) total += sum;
  return total;
}

template <class T>
__global__ void __launch_bounds__(threads) squares_kernel(Table<Values<T>> table, double* sums) {
  const int i = entry_of_block(table);
  const Values<T>& array = table.entries[i];
  const int64_t begin = (int64_t(blockIdx.x) - table.first_block[i]) * chunk;
  double sum = 0;
  for (int64_t j = begin + threadIdx.x; j < begin + chunk && j < array.n; j += threads)
    sum += double(array.x[j]) * double(array.x[j]);
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(threads) root_kernel(const double* sums, int64_t n, float* norm) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += threads) sum += sums[i];
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) *norm = float(std::sqrt(sum));
}

__global__ void clip_kernel(const float* norm, double limit, float* scale) {
  const double ratio = limit / (double(*norm) + 1e-6);
  *scale = ratio >= 1 ? 1.0f : float(ratio);
}

struct Rates {
  double learning_rate, corrected_rate, beta1, beta2, eps, root_correction2;
  const float* grad_scale;
  const int* skip;
};

__global__ void find_kernel(const float* x, int64_t n, int* found) {
  bool any = false;
  for (int64_t i = threadIdx.x; i < n; i += 32) any |= !(std::abs(x[i]) <= 3.4028235e38f);
  any = __any_sync(all_lanes, any);
  if (threadIdx.x == 0 && any) *found = 1;
}

template <class T>
__global__ void __launch_bounds__(threads)
    adamw_kernel(Table<AdamWParameter<T>> table, Rates rates) {
  if (rates.skip && *rates.skip != 0) return;
  const int i = entry_of_block(table);
  const AdamWParameter<T>& to = table.entries[i];
  const int64_t begin = (int64_t(blockIdx.x) - table.first_block[i]) * chunk;
  const T scale = rates.grad_scale ? T(*rates.grad_scale) : T(1), beta2 = T(rates.beta2);
  const T decay = T(1 - rates.learning_rate * to.weight_decay), rate = T(rates.corrected_rate);
  const T rest1 = T(1 - rates.beta1), rest2 = T(1 - rates.beta2);
  for (int64_t j = begin + threadIdx.x; j < begin + chunk && j < to.n; j += threads) {
    const T g = to.grad[j] * scale, old = to.m[j];
    const T mean = old + (g - old) * rest1;
    const T square = to.v[j] * beta2 + g * g * rest2;
    to.m[j] = mean;
    to.v[j] = square;
    const T param = to.param[j] * decay -
                    rate * (mean / (std::sqrt(square) / T(rates.root_correction2) + T(rates.eps)));
    to.param[j] = param;
    if (to.rounded) to.rounded[j] = bfloat16(float(param));
  }
}

}  // namespace

template <class T>
int64_t squares_of(std::span<const Values<T>> arrays) {
  int64_t blocks = 0;
  for (const Values<T>& array : arrays) blocks += (array.n + chunk - 1) / chunk;
  return blocks;
}

template <class T>
void sum_of_squares(std::span<const Values<T>> arrays, double* sums, cudaStream_t stream) {
  for_tables(arrays, [&](const Table<Values<T>>& table) {
    launch("norm", squares_kernel<T>, {unsigned(table.blocks), threads}, stream, table, sums);
    sums += table.blocks;
  });
}

void root_of_sums(const double* sums, int64_t n, float* norm, cudaStream_t stream) {
  launch("norm's root", root_kernel, {1, threads}, stream, sums, n, norm);
}

void clip_scale(const float* norm, double limit, float* scale, cudaStream_t stream) {
  launch("clip_scale", clip_kernel, {1, 1}, stream, norm, limit, scale);
}

void find_not_finite(const float* x, int64_t n, int* found, cudaStream_t stream) {
  launch("adamw's figures", find_kernel, {1, 32}, stream, x, n, found);
}

template <class T>
void adamw(std::span<const AdamWParameter<T>> parameters, const AdamWFactors& factors,
           cudaStream_t stream) {
  const double correction1 = 1 - std::pow(factors.beta1, double(factors.step));
  const double correction2 = 1 - std::pow(factors.beta2, double(factors.step));
  const Rates rates{factors.learning_rate, factors.learning_rate / correction1,
                    factors.beta1,         factors.beta2,
                    factors.eps,           std::sqrt(correction2),
                    factors.grad_scale,    factors.skip};
  for_tables(parameters, [&](const Table<AdamWParameter<T>>& table) {
    launch("adamw", adamw_kernel<T>, {unsigned(table.blocks), threads}, stream, table, rates);
  });
}

template int64_t squares_of(std::span<const Values<double>>);
template int64_t squares_of(std::span<const Values<float>>);
template int64_t squares_of(std::span<const Values<bfloat16>>);
template void sum_of_squares(std::span<const Values<double>>, double*, cudaStream_t);
template void sum_of_squares(std::span<const Values<float>>, double*, cudaStream_t);
template void sum_of_squares(std::span<const Values<bfloat16>>, double*, cudaStream_t);
template void adamw(std::span<const AdamWParameter<double>>, const AdamWFactors&, cudaStream_t);
template void adamw(std::span<const AdamWParameter<float>>, const AdamWFactors&, cudaStream_t);

}  // namespace folio::cuda

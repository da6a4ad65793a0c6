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

__global__ void __launch_bounds__(threads)
    momentum_kernel(Table<MuonMatrix> table, MuonFactors factors, double* sums) {
  const int i = entry_of_block(table);
  const MuonMatrix& to = table.entries[i];
  const int64_t begin = (int64_t(blockIdx.x) - table.first_block[i]) * chunk;
  const bool skip = factors.skip && *factors.skip != 0;
  const float scale = factors.grad_scale ? *factors.grad_scale : 1, mu = float(factors.momentum);
  double sum = 0;
  for (int64_t j = begin + threadIdx.x; j < begin + chunk && j < to.n; j += threads) {
    const float g = to.grad[j] * scale, mean = mu * to.momentum[j] + g;
    const float u = g + mu * mean;
    if (!skip) to.momentum[j] = mean;
    to.u[j] = u;
    sum += double(u) * double(u);
  }
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class T>
__global__ void __launch_bounds__(threads)
    normalize_kernel(const float* u, const double* sums, int64_t n, int64_t parts, float eps,
                     T* x) {
  const int64_t matrix = int64_t(blockIdx.x) / parts;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < parts; i += threads) sum += sums[matrix * parts + i];
  const float factor = 1 / (float(std::sqrt(sum_of_block(sum))) + eps);
  const int64_t begin = int64_t(blockIdx.x) % parts * chunk;
  for (int64_t j = begin + threadIdx.x; j < begin + chunk && j < n; j += threads)
    x[matrix * n + j] = T(u[matrix * n + j] * factor);
}

template <class T>
__global__ void __launch_bounds__(threads)
    polynomial_kernel(const T* x, float a, float b, float c, int64_t n, int64_t size, T* square) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= size) return;
  const float value = b * float(x[i]) + c * float(square[i]);
  square[i] = T(i / n % n == i % n ? value + a : value);
}

template <class T>
__global__ void __launch_bounds__(threads)
    apply_kernel(Table<MuonMatrix> table, MuonFactors factors, double factor, const T* x) {
  if (factors.skip && *factors.skip != 0) return;
  const int i = entry_of_block(table);
  const MuonMatrix& to = table.entries[i];
  const T* update = x + i * to.n;
  const int64_t begin = (int64_t(blockIdx.x) - table.first_block[i]) * chunk;
  const float decay = float(1 - factors.learning_rate * to.weight_decay);
  const float rate = float(factors.learning_rate * factor);
  for (int64_t j = begin + threadIdx.x; j < begin + chunk && j < to.n; j += threads) {
    const float param = to.param[j] * decay - rate * float(update[j]);
    to.param[j] = param;
    if (to.rounded) to.rounded[j] = bfloat16(param);
  }
}

__global__ void __launch_bounds__(threads)
    average_kernel(Table<AverageOf> table, float rest, const int* skip) {
  if (skip && *skip != 0) return;
  const int i = entry_of_block(table);
  const AverageOf& to = table.entries[i];
  const int64_t begin = (int64_t(blockIdx.x) - table.first_block[i]) * chunk;
  for (int64_t j = begin + threadIdx.x; j < begin + chunk && j < to.n; j += threads) {
    const float old = to.average[j];
    to.average[j] = old + (to.x[j] - old) * rest;
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

int64_t muon_sums(int64_t n) { return (n + chunk - 1) / chunk; }

void muon_momentum(std::span<const MuonMatrix> matrices, const MuonFactors& factors, double* sums,
                   cudaStream_t stream) {
  for_tables(matrices, [&](const Table<MuonMatrix>& table) {
    launch("muon's momentum", momentum_kernel, {unsigned(table.blocks), threads}, stream, table,
           factors, sums);
    sums += table.blocks;
  });
}

template <class T>
void muon_normalize(const float* u, const double* sums, int64_t n, int64_t count, float eps, T* x,
                    cudaStream_t stream) {
  const int64_t parts = muon_sums(n);
  launch("muon's lengths", normalize_kernel<T>, {unsigned(parts * count), threads}, stream, u, sums,
         n, parts, eps, x);
}

template <class T>
void muon_polynomial(const T* x, float a, float b, float c, int64_t n, int64_t count, T* square,
                     cudaStream_t stream) {
  const int64_t size = count * n * n;
  launch("muon's polynomial", polynomial_kernel<T>,
         {unsigned((size + threads - 1) / threads), threads}, stream, x, a, b, c, n, size, square);
}

template <class T>
void muon_apply(std::span<const MuonMatrix> matrices, const MuonFactors& factors, double factor,
                const T* x, cudaStream_t stream) {
  for_tables(matrices, [&](const Table<MuonMatrix>& table) {
    launch("muon", apply_kernel<T>, {unsigned(table.blocks), threads}, stream, table, factors,
           factor, x);
    x += table.count * table.entries[0].n;
  });
}

void average(std::span<const AverageOf> averages, double decay, const int* skip,
             cudaStream_t stream) {
  for_tables(averages, [&](const Table<AverageOf>& table) {
    launch("average", average_kernel, {unsigned(table.blocks), threads}, stream, table,
           float(1 - decay), skip);
  });
}

template void muon_normalize(const float*, const double*, int64_t, int64_t, float, float*,
                             cudaStream_t);
template void muon_normalize(const float*, const double*, int64_t, int64_t, float, bfloat16*,
                             cudaStream_t);
template void muon_polynomial(const float*, float, float, float, int64_t, int64_t, float*,
                              cudaStream_t);
template void muon_polynomial(const bfloat16*, float, float, float, int64_t, int64_t, bfloat16*,
                              cudaStream_t);
template void muon_apply(std::span<const MuonMatrix>, const MuonFactors&, double, const float*,
                         cudaStream_t);
template void muon_apply(std::span<const MuonMatrix>, const MuonFactors&, double, const bfloat16*,
                         cudaStream_t);
template int64_t squares_of(std::span<const Values<double>>);
template int64_t squares_of(std::span<const Values<float>>);
template int64_t squares_of(std::span<const Values<bfloat16>>);
template void sum_of_squares(std::span<const Values<double>>, double*, cudaStream_t);
template void sum_of_squares(std::span<const Values<float>>, double*, cudaStream_t);
template void sum_of_squares(std::span<const Values<bfloat16>>, double*, cudaStream_t);
template void adamw(std::span<const AdamWParameter<double>>, const AdamWFactors&, cudaStream_t);
template void adamw(std::span<const AdamWParameter<float>>, const AdamWFactors&, cudaStream_t);

}  // namespace folio::cuda

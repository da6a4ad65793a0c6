#include <algorithm>
#include <type_traits>

#include "core/cuda/kernels/map.h"
#include "core/cuda/kernels/packed/block_product.h"
#include "core/cuda/kernels/packed/packed_linear.h"

namespace folio::cuda {
namespace {

constexpr int most_slices = 16;

// K in blocks of 32, cut into slices.
struct Slices {
  int blocks, count;
  __device__ int begin(int slice) const { return blocks * slice / count; }
};

template <class Product>
inline constexpr int steps = int(block_size) / Product::depth;  // of a block
template <class Product>
inline constexpr int weight_block = steps<Product>* Product::weight_bytes;
template <class Product>
inline constexpr int x_block = steps<Product>* Product::x_bytes;

template <int op, class T>
__device__ T value_of(Unary act, T x) {
  if constexpr (op < int(std::tuple_size_v<UnaryOps>)) {
    if (int(act) == op) return std::tuple_element_t<size_t(op), UnaryOps>::value(x);
    return value_of<op + 1>(act, x);
  }
  return x;
}
// One function for all kernels, so that they give the same bits.
template <class T>
[[gnu::noinline]] __device__ T activated(Unary act, T x) {
  return value_of<0>(act, x);
}

template <class T, class X>
struct Linear {
  Rows<X> x;
  const std::byte* w;
  Slices slices;
  const T* bias;
  const bfloat16* narrow_bias;
  Unary act;
  X* y;
  int N;

  // y of the sum for row n of w.
  __device__ X finished(T sum, int n) const {
    if (bias) sum += bias[n];
    if (narrow_bias) sum += T(narrow_bias[n]);
    return X(act == Unary::none ? sum : activated(act, sum));
  }
};

// A block has one panel and `groups` groups, a warp one slice of K. Sums meet in shared memory,
// [slice][group][8][lane].
template <class Product, class X, int groups>
__global__ void __launch_bounds__(32 * most_slices, 1)
    few_rows_kernel(Linear<typename Product::Sum, X> in) {
  using T = typename Product::Sum;
  constexpr int ahead = groups < Product::ahead ? Product::ahead / groups : 1;
  constexpr int weight_bytes = Product::weight_bytes;
  const int lane = lane_of_warp(), slice = int(threadIdx.x) / 32;
  const int64_t panel = blockIdx.x, group = int64_t(blockIdx.y) * groups;
  const int end = in.slices.begin(slice + 1) * steps<Product>;
  const std::byte* w = in.w + panel * in.slices.blocks * weight_block<Product>;
  const int first = in.slices.begin(slice) * steps<Product>;
  for (int at = first * weight_bytes + lane * 128; at < end * weight_bytes; at += 32 * 128)
    prefetch(w + at);  // nobody writes weights any more
  after_previous_kernel();
  Sums<T> sums[groups];
  for (int step = first; step < end; step += ahead) {
    typename Product::Weights weights[ahead];
    typename Product::Activations x[ahead][groups];  // worked out while the weights come
#pragma unroll
    for (int i = 0; i < ahead; ++i)
      if (step + i < end) weights[i] = Product::load(w + int64_t(step + i) * weight_bytes);
#pragma unroll
    for (int i = 0; i < ahead; ++i)
#pragma unroll
      for (int j = 0; j < groups; ++j)
        if (step + i < end) x[i][j] = Product::read(in.x, group + j, (step + i) * Product::depth);
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      if (step + i >= end) break;
      const auto& unpacked = Product::unpacked(weights[i]);
#pragma unroll
      for (int j = 0; j < groups; ++j) Product::multiply(sums[j], unpacked, x[i][j]);
    }
  }
  T* shared_sums = &dynamic_shared<T>();
#pragma unroll
  for (int j = 0; j < groups; ++j)
#pragma unroll
    for (int i = 0; i < 8; ++i)
      shared_sums[((slice * groups + j) * 8 + i) * 32 + lane] = sums[j].at[i / 4][i % 4];
  __syncthreads();
  for (int at = int(threadIdx.x); at < groups * group_rows * panel_rows; at += int(blockDim.x)) {
    const int row = at / panel_rows % group_rows, column = at % panel_rows;
    const int64_t m = (group + at / (group_rows * panel_rows)) * group_rows + row;
    const int64_t n = panel * panel_rows + column;
    if (m >= in.x.rows || n >= in.N) continue;
    const int i = column % 4 * 2 + row % 2, its_lane = column / 4 * 4 + row / 2;
    const T* from = shared_sums + (at / (group_rows * panel_rows) * 8 + i) * 32 + its_lane;
    T sum = 0;
    for (int s = 0; s < in.slices.count; ++s) sum += from[s * groups * 8 * 32];
    in.y[m * in.N + n] = in.finished(sum, int(n));
  }
}

// x as the products read it: a warp prepares a group's part of one step.
template <class Product, class X>
__global__ void __launch_bounds__(256)
    prepare_kernel(Rows<X> x, std::byte* to, int steps, int64_t count) {
  after_previous_kernel();
  const int64_t i = int64_t(blockIdx.x) * 8 + threadIdx.x / 32;
  if (i >= count) return;
  Product::store(Product::read(x, i / steps, int(i % steps) * Product::depth),
                 to + i * Product::x_bytes);
}

constexpr int tile_panels = 2, tile_groups = 8, tile_threads = 128;

// What a tile needs of one block of K.
template <class Product>
struct alignas(16) Buffer {
  std::byte w[tile_panels][weight_block<Product>];
  std::byte x[tile_groups][x_block<Product>];
};
// So many blocks are multiplied between barriers, while twice as many come.
template <class Product>
inline constexpr int pace = sizeof(Buffer<Product>) <= (size_t{8} << 10) ? 2 : 1;
template <class Product>
inline constexpr int buffers = 3 * pace<Product>;

// Begins to copy `bytes` of each of n rows that are `stride` apart, zeros from row `rows` on.
template <int n, int bytes>
__device__ void copy_rows(std::byte (&to)[n][bytes], const std::byte* from, int64_t stride,
                          int64_t rows) {
  constexpr int pieces = bytes / 16;
  static_assert(bytes % 16 == 0);
  for (int i = int(threadIdx.x); i < n * pieces; i += tile_threads) {
    const int row = i / pieces, at = i % pieces * 16;
    const bool in_range = row < rows;
    copy_async(&to[row][at], from + (in_range ? row * stride + at : int64_t(0)), in_range);
  }
}

// 64 rows of w by 64 of x a block, 32 by 32 a warp, over all of K. x is prepared.
template <class Product, class X>
__global__ void __launch_bounds__(tile_threads, 2)
    many_rows_kernel(Linear<typename Product::Sum, X> in, const std::byte* x, int64_t all_groups) {
  using T = typename Product::Sum;
  after_previous_kernel();
  constexpr int warp_groups = tile_groups / 2;
  auto* buffer = &dynamic_shared<Buffer<Product>>();
  const int blocks = in.slices.blocks;
  const int64_t panel = int64_t(blockIdx.y) * tile_panels;
  const int64_t group = int64_t(blockIdx.x) * tile_groups;
  const int64_t w_stride = int64_t(blocks) * weight_block<Product>;
  const int64_t x_stride = int64_t(blocks) * x_block<Product>;
  const int64_t all_panels = (in.N + panel_rows - 1) / panel_rows;
  auto fill = [&](int first) {
    for (int block = first; block < first + pace<Product> && block < blocks; ++block) {
      Buffer<Product>& to = buffer[block % buffers<Product>];
      copy_rows(to.w, in.w + panel * w_stride + int64_t(block) * weight_block<Product>, w_stride,
                all_panels - panel);
      copy_rows(to.x, x + group * x_stride + int64_t(block) * x_block<Product>, x_stride,
                all_groups - group);
    }
    commit_copies();
  };
  const int my_panel = int(threadIdx.x) / 32 % 2, my_groups = int(threadIdx.x) / 64 * warp_groups;
  Sums<T> totals[warp_groups], sums[warp_groups];
  int slice = 0;
  fill(0);
  fill(pace<Product>);
  for (int block = 0; block < blocks; ++block) {
    if (block % pace<Product> == 0) {
      wait_for_copies<1>();
      __syncthreads();  // also before the buffers of the blocks before are filled
      fill(block + 2 * pace<Product>);
    }
    const Buffer<Product>& at = buffer[block % buffers<Product>];
#pragma unroll
    for (int step = 0; step < steps<Product>; ++step) {
      const auto weights = Product::load(at.w[my_panel] + step * Product::weight_bytes);
      const auto& unpacked = Product::unpacked(weights);
#pragma unroll
      for (int j = 0; j < warp_groups; ++j)
        Product::multiply(sums[j], unpacked,
                          Product::load_x(at.x[my_groups + j] + step * Product::x_bytes));
    }
    if (block + 1 == in.slices.begin(slice + 1)) {
      ++slice;
#pragma unroll
      for (int j = 0; j < warp_groups; ++j) {
#pragma unroll
        for (int i = 0; i < 8; ++i) totals[j].at[i / 4][i % 4] += sums[j].at[i / 4][i % 4];
        sums[j] = {};
      }
    }
  }
  const int n = int(panel + my_panel) * panel_rows + row_of_panel(0, 0);  // and the three after it
#pragma unroll
  for (int j = 0; j < warp_groups; ++j)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const int64_t m = (group + my_groups + j) * group_rows + row_of_group(c);
      if (m >= in.x.rows) continue;
      Pack<X, 4> out{};
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (n + i < in.N) out.at[i] = in.finished(totals[j].at[i / 2][i % 2 * 2 + c], n + i);
      X* to = in.y + m * in.N + n;
      if (in.N % 4 == 0) {
        if (n < in.N) store_pack<4>(to, out);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (n + i < in.N) to[i] = out.at[i];
      }
    }
}

// Up to so many, blocks of few_rows_kernel read the weights again for every 32.
constexpr int64_t few_rows = 64;

// Enough warps for every multiprocessor of a large GPU when there is one row; at least two blocks
// of K a slice, so that the sums' way through shared memory is worth it.
int slices_of(int N, int K) {
  constexpr int64_t warps = 2048;
  const int64_t panels = std::max<int64_t>(1, blocks_of(N));
  const int64_t most = std::clamp<int64_t>(blocks_of(K) / 2, 1, most_slices);
  return int(std::min((warps + panels - 1) / panels, most));
}

constexpr int64_t groups_of(int64_t rows) { return (rows + group_rows - 1) / group_rows; }

// f(Product()) for the weights of a format that go with X.
template <class X, class F>
decltype(auto) visit_product(WeightFormat format, F&& f) {
  if constexpr (std::is_same_v<X, double>) {
    return f(PlainProduct<double>());
  } else {
    switch (format) {
      case WeightFormat::bf16:
        return f(PairProduct());
      case WeightFormat::int8:
        return f(BlockProduct<WeightFormat::int8>());
      case WeightFormat::int4:
        return f(BlockProduct<WeightFormat::int4>());
      case WeightFormat::f32:
        break;
    }
    return f(PlainProduct<float>());
  }
}

template <class Product, int groups, class X>
void multiply_few(const Linear<typename Product::Sum, X>& in, cudaStream_t stream) {
  const int slices = in.slices.count;
  const dim3 grid(unsigned(blocks_of(in.N)),
                  unsigned((groups_of(in.x.rows) + groups - 1) / groups));
  const size_t shared = size_t(slices) * groups * 8 * 32 * sizeof(typename Product::Sum);
  launch_early("linear_packed", few_rows_kernel<Product, X, groups>,
               {grid, unsigned(32 * slices), shared}, stream, in);
}

template <class Product, class X>
void multiply_many(const Linear<typename Product::Sum, X>& in, std::byte* scratch,
                   cudaStream_t stream) {
  const int64_t groups = groups_of(in.x.rows);
  const int row_steps = in.slices.blocks * steps<Product>;
  const int64_t count = groups * row_steps;
  if (count > 0)
    launch_early("linear_packed's x", prepare_kernel<Product, X>, {unsigned((count + 7) / 8), 256},
                 stream, in.x, scratch, row_steps, count);
  const dim3 grid(unsigned((groups + tile_groups - 1) / tile_groups),
                  unsigned((blocks_of(in.N) + tile_panels - 1) / tile_panels));
  launch_early("linear_packed", many_rows_kernel<Product, X>,
               {grid, tile_threads, buffers<Product> * sizeof(Buffer<Product>)}, stream, in,
               scratch, groups);
}

}  // namespace

template <class X>
int64_t packed_linear_scratch(WeightFormat format, int64_t rows, int K) {
  if (rows <= few_rows) return 0;
  return visit_product<X>(format, [&](auto product) {
    return groups_of(rows) * blocks_of(K) * x_block<decltype(product)>;
  });
}

template <class X>
void packed_linear(const PackedLinear<X>& a, void* scratch, cudaStream_t stream) {
  visit_product<X>(a.format, [&](auto product) {
    using Product = decltype(product);
    using T = typename Product::Sum;
    const bool in_packs = a.K % 8 == 0 && reinterpret_cast<uintptr_t>(a.x) % 16 == 0;
    const Linear<T, X> in{{a.x, a.rows, a.K, in_packs},
                          static_cast<const std::byte*>(a.w),
                          {int(blocks_of(a.K)), slices_of(a.N, a.K)},
                          a.bias_is_bf16 ? nullptr : static_cast<const T*>(a.bias),
                          a.bias_is_bf16 ? static_cast<const bfloat16*>(a.bias) : nullptr,
                          a.act,
                          a.y,
                          a.N};
    if (a.rows > few_rows)
      return multiply_many<Product>(in, static_cast<std::byte*>(scratch), stream);
    if constexpr (Product::most_groups == 4)
      if (a.rows > 2 * group_rows) return multiply_few<Product, 4>(in, stream);
    if (a.rows > group_rows) return multiply_few<Product, 2>(in, stream);
    multiply_few<Product, 1>(in, stream);
  });
}

template int64_t packed_linear_scratch<double>(WeightFormat, int64_t, int);
template int64_t packed_linear_scratch<float>(WeightFormat, int64_t, int);
template int64_t packed_linear_scratch<bfloat16>(WeightFormat, int64_t, int);
template void packed_linear(const PackedLinear<double>&, void*, cudaStream_t);
template void packed_linear(const PackedLinear<float>&, void*, cudaStream_t);
template void packed_linear(const PackedLinear<bfloat16>&, void*, cudaStream_t);

}  // namespace folio::cuda

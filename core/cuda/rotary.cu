#include "core/backend/rotary.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/kernels/pack.h"
#include "core/devices/costs.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::load_pack, cuda::store_pack, cuda::Pack;

constexpr int threads = 256;
constexpr int64_t most_blocks = 512;  // of the gradient: as many sums of the weights' gradients

// What a call says of its rows [rows, (n_head + 2 n_kv_head) width], on the device. Weights, in the
// type of sums, and the table may be null.
template <class A>
struct Call {
  int n_head, n_kv_head, width;
  bool normed;
  A eps;
  const A *q_weight, *k_weight, *table;
  int table_rows;  // after which the table begins again
  int64_t rows;
  int lanes;  // for a head: a power of two, up to 32

  __device__ int heads() const { return n_head + 2 * n_kv_head; }
  __device__ int half() const { return (width + 1) / 2; }
  __device__ const A* weight(int head) const { return head < n_head ? q_weight : k_weight; }
  __device__ const A* turn(int64_t row) const {
    return table ? table + row % table_rows * width : nullptr;
  }
};

// Over the lanes of a head; every one gets it.
template <class A>
__device__ A sum_of_head(A x, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(cuda::all_lanes, x, step);
  return x;
}

// f(c) for the columns of each of a lane's packs of n: those of the first half and, in the same
// lane, those of the second, of which an odd width has one less.
template <int n, class A, class F>
__device__ void each_pack(const Call<A>& call, int lane, F&& f) {
  for (int i = lane * n; i < call.half(); i += call.lanes * n) {
    f(i);
    if (call.half() + i < call.width) f(call.half() + i);
  }
}

// 1 / sqrt(mean(x^2) + eps); by all lanes of a warp. x is null where there is no head.
template <int n, class A, class T>
__device__ A rstd_of(const Call<A>& call, const T* x, int lane) {
  A squares = 0;
  if (x)
    each_pack<n>(call, lane, [&](int c) {
      const auto values = load_pack<n>(x + c);
      for (int j = 0; j < n; ++j) squares += A(values.at[j]) * A(values.at[j]);
    });
  return A(1) / std::sqrt(sum_of_head(squares, call.lanes) / A(call.width) + call.eps);
}

// f(head, is_there) for each head of a row, by groups of `lanes` threads, for which all threads of
// a block go together.
template <class A, class F>
__device__ void each_head(const Call<A>& call, F&& f) {
  const int groups = threads / call.lanes;
  for (int first = 0; first < call.heads(); first += groups) {
    const int head = first + int(threadIdx.x) / call.lanes;
    f(head, head < call.heads());
  }
}

// A block a row.
template <class T, class A, int n>
__global__ void __launch_bounds__(threads) forward_kernel(Call<A> call, const T* x, T* y) {
  const int64_t row = blockIdx.x;
  const int lane = int(threadIdx.x) % call.lanes;
  const A* turn = call.turn(row);
  each_head(call, [&](int head, bool is_there) {
    const int64_t at = (row * call.heads() + head) * call.width;
    const bool is_value = head >= call.n_head + call.n_kv_head;
    const A rstd =
        call.normed ? rstd_of<n>(call, is_there && !is_value ? x + at : nullptr, lane) : A(1);
    if (!is_there) return;
    if (is_value || !(call.normed || turn))
      return each_pack<n>(call, lane,
                          [&](int c) { store_pack<n>(y + at + c, load_pack<n>(x + at + c)); });
    const A* weight = call.normed ? call.weight(head) : nullptr;
    auto normed = [&](T value, int c) {
      const A scaled = A(value) * rstd;
      return weight ? scaled * weight[c] : scaled;
    };
    if (!turn)
      return each_pack<n>(call, lane, [&](int c) {
        auto values = load_pack<n>(x + at + c);
        for (int j = 0; j < n; ++j) values.at[j] = T(normed(values.at[j], c + j));
        store_pack<n>(y + at + c, values);
      });
    const int half = call.half();
    for (int i = lane * n; i < half; i += call.lanes * n) {
      auto first = load_pack<n>(x + at + i), second = load_pack<n>(x + at + half + i);
      for (int j = 0; j < n; ++j) {
        const A a = normed(first.at[j], i + j), b = normed(second.at[j], half + i + j);
        const A cos = turn[i + j], sin = turn[half + i + j];
        first.at[j] = T(a * cos - b * sin);
        second.at[j] = T(b * cos + a * sin);
      }
      store_pack<n>(y + at + i, first);
      store_pack<n>(y + at + half + i, second);
    }
  });
}

// dy of a head, turned back: f(c, g of columns c to c + n).
template <int n, class A, class T, class F>
__device__ void each_unturned(const Call<A>& call, const T* dy, const A* turn, int lane, F&& f) {
  const int half = call.half();
  for (int i = lane * n; i < half; i += call.lanes * n) {
    const bool has_second = half + i < call.width;
    A first[n], second[n] = {};
    const auto a = load_pack<n>(dy + i);
    for (int j = 0; j < n; ++j) first[j] = A(a.at[j]);
    if (has_second) {
      const auto b = load_pack<n>(dy + half + i);
      for (int j = 0; j < n; ++j) second[j] = A(b.at[j]);
    }
    for (int j = 0; turn && j < n; ++j) {
      const A cos = turn[i + j], sin = turn[half + i + j], before = first[j];
      first[j] = before * cos + second[j] * sin;
      second[j] = second[j] * cos - before * sin;
    }
    f(i, first);
    if (has_second) f(half + i, second);
  }
}

// With g = dy turned back, n = x rstd and gw = g w: dx = rstd (gw - n mean(gw n)). A block has
// every gridDim.x-th row, and leaves in sums [blocks, 2, width] those of g n over its rows and
// heads, of the queries and of the keys, if there are weights; each group of lanes has its own
// until the end.
template <class T, class A, int n>
__global__ void __launch_bounds__(threads)
    grad_kernel(Call<A> call, const T* dy, const T* x, T* dx, A* sums) {
  A* of_groups = sums ? &cuda::dynamic_shared<A>() : nullptr;  // [groups, 2, width]
  const int group = int(threadIdx.x) / call.lanes, lane = int(threadIdx.x) % call.lanes;
  const int width = call.width;
  A* mine = sums ? of_groups + group * 2 * width : nullptr;
  if (sums)
    for (int part = 0; part < 2; ++part)
      each_pack<n>(call, lane, [&](int c) {
        for (int j = 0; j < n; ++j) mine[part * width + c + j] = 0;
      });
  for (int64_t row = blockIdx.x; row < call.rows; row += gridDim.x) {
    const A* turn = call.turn(row);
    each_head(call, [&](int head, bool is_there) {
      const int64_t at = (row * call.heads() + head) * width;
      const bool is_value = head >= call.n_head + call.n_kv_head;
      auto put = [&](int c, const A(&grad)[n]) {
        Pack<T, n> out;
        for (int j = 0; j < n; ++j) out.at[j] = T(grad[j]);
        store_pack<n>(dx + at + c, out);
      };
      if (!call.normed) {
        if (is_there) each_unturned<n>(call, dy + at, is_value ? nullptr : turn, lane, put);
        return;
      }
      const bool is_normed = is_there && !is_value;
      const A rstd = rstd_of<n>(call, is_normed ? x + at : nullptr, lane);
      const A* weight = call.weight(head);
      A* to = sums ? mine + (head < call.n_head ? 0 : width) : nullptr;
      A along = 0;
      if (is_normed)
        each_unturned<n>(call, dy + at, turn, lane, [&](int c, const A(&g)[n]) {
          const auto values = load_pack<n>(x + at + c);
          for (int j = 0; j < n; ++j) {
            const A gn = g[j] * (A(values.at[j]) * rstd);
            if (sums && weight) to[c + j] += gn;
            along += weight ? gn * weight[c + j] : gn;
          }
        });
      const A mean = sum_of_head(along, call.lanes) / A(width);
      if (!is_there) return;
      if (is_value) return each_unturned<n, A>(call, dy + at, nullptr, lane, put);
      each_unturned<n>(call, dy + at, turn, lane, [&](int c, const A(&g)[n]) {
        const auto values = load_pack<n>(x + at + c);
        A grad[n];
        for (int j = 0; j < n; ++j) {
          const A gw = weight ? g[j] * weight[c + j] : g[j];
          grad[j] = rstd * (gw - A(values.at[j]) * rstd * mean);
        }
        put(c, grad);
      });
    });
  }
  if (!sums) return;
  __syncthreads();
  for (int i = int(threadIdx.x); i < 2 * width; i += threads) {
    A sum = 0;
    for (int g = 0; g < threads / call.lanes; ++g) sum += of_groups[g * 2 * width + i];
    sums[int64_t(blockIdx.x) * 2 * width + i] = sum;
  }
}

// to[c] += the blocks' sums, `stride` apart, in order.
template <class A>
void add_sums(const A* sums, int64_t blocks, int64_t stride, Array* to) {
  if (!to) return;
  A* total = to->data<A>();
  cuda::each("rotary_grad's sums", to->size(), [=] __device__(int64_t c) {
    A sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += sums[block * stride + c];
    total[c] += sum;
  });
}

template <class A>
const A* data_of(const Array& x) {
  return x.defined() ? x.data<A>() : nullptr;
}

// f(call, integral_constant<int, n>()) with the packs of n elements of T that halves of heads are
// whole ones of, and as many lanes for a head as it has packs.
template <class T, class F>
void visit_call(const Array& qkv, const Heads& heads, const HeadNorm& norm, const Array& table,
                F&& f) {
  using A = SumOf<T>;
  constexpr int whole = cuda::pack_size<T>;
  const bool has_packs = heads.width % (2 * whole) == 0;
  const int64_t packs = (heads.width + 1) / 2 / (has_packs ? whole : 1);
  const auto lanes = int(std::bit_ceil(uint64_t(std::clamp<int64_t>(packs, 1, 32))));
  const bool repeats = table.defined() && table.dim(0) == 1;
  const Call<A> call{int(heads.n_head),
                     int(heads.n_kv_head),
                     int(heads.width),
                     norm.enabled,
                     A(norm.eps),
                     data_of<A>(norm.q),
                     data_of<A>(norm.k),
                     data_of<A>(table),
                     int(repeats ? qkv.dim(1) : qkv.rows()),
                     qkv.rows(),
                     lanes};
  if (has_packs)
    f(call, std::integral_constant<int, whole>());
  else
    f(call, std::integral_constant<int, 1>());
}

// cos and sin of the angles, worked out in f64.
template <class A>
void fill_table(const int32_t* starts, int64_t rows, int64_t T, int64_t width, Rope rope, A* out) {
  const int64_t half = width / 2;
  cuda::each("rotary table", rows * half, [=] __device__(int64_t at) {
    const int64_t row = at / half, i = at % half;
    const double position = double(starts ? starts[row / T] : 0) + double(row % T);
    const double angle =
        position * rope.scaled(std::pow(rope.theta, -2.0 * double(i) / double(width)));
    out[row * width + i] = A(std::cos(angle));
    out[row * width + half + i] = A(std::sin(angle));
  });
}

class CudaRotaryOps final : public RotaryOps {
 public:
  Array table(const Array& positions, int64_t T, int64_t width, const Rope& rope,
              DType dtype) override {
    const int64_t B = positions.defined() ? positions.size() : 1;
    const int32_t* starts = positions.defined() ? positions.data<int32_t>() : nullptr;
    Array table({B, T, width}, dtype, RunningOn::device().value());
    visit_dtype(dtype, "rotary table", [&](auto t) {
      using A = decltype(t);
      fill_table(starts, B * T, T, width, rope, table.data<A>());
    });
    return table;
  }

  Array forward(const Array& qkv, const Heads& heads, const HeadNorm& norm,
                const Array& table) override {
    Array y(qkv.shape(), qkv.dtype(), qkv.device());
    count_bytes(moved_bytes(y));
    if (qkv.size() == 0) return y;
    const HeadNorm summed = in_sums(norm, qkv);
    visit_dtype(qkv.dtype(), "rotary", [&](auto t) {
      using T = decltype(t);
      visit_call<T>(
          qkv, heads, summed, table, [&]<int n>(auto call, std::integral_constant<int, n>) {
            cuda::launch("rotary", forward_kernel<T, SumOf<T>, n>, {unsigned(qkv.rows()), threads},
                         cuda::stream(), call, qkv.data<T>(), y.data<T>());
          });
    });
    return y;
  }

  Array grad(const Array& dy, const Array& qkv, const Heads& heads, const HeadNorm& norm,
             const Array& table, Array* dq_norm, Array* dk_norm) override {
    const DType sum_type = sum_dtype(dy.dtype());
    Array dqkv(dy.shape(), dy.dtype(), dy.device());
    count_bytes(moved_bytes(dqkv));
    for (Array* sum : {dq_norm, dk_norm}) {
      if (!sum) continue;
      if (!sum->defined()) *sum = zeros({heads.width}, sum_type, dy.device());
      sum->begin_write("rotary_grad");
    }
    if (dy.size() == 0) return dqkv;
    const HeadNorm summed = in_sums(norm, dy);
    const int64_t blocks = std::min(most_blocks, dy.rows());
    const bool has_sums = norm.enabled && (dq_norm || dk_norm);
    const Array sums({has_sums ? blocks : 0, 2, heads.width}, sum_type, dy.device());
    visit_dtype(dy.dtype(), "rotary_grad", [&](auto t) {
      using T = decltype(t);
      using A = SumOf<T>;
      A* of_blocks = has_sums ? sums.data<A>() : nullptr;
      visit_call<T>(
          dy, heads, summed, table, [&]<int n>(auto call, std::integral_constant<int, n>) {
            const size_t shared =
                has_sums ? sizeof(A) * size_t(threads / call.lanes * 2 * call.width) : 0;
            cuda::launch("rotary_grad", grad_kernel<T, A, n>, {unsigned(blocks), threads, shared},
                         cuda::stream(), call, dy.data<T>(), norm.enabled ? qkv.data<T>() : nullptr,
                         dqkv.data<T>(), of_blocks);
          });
      if (!has_sums) return;
      add_sums(of_blocks, blocks, 2 * heads.width, dq_norm);
      add_sums(of_blocks + heads.width, blocks, 2 * heads.width, dk_norm);
    });
    return dqkv;
  }

 private:
  // norm with its weights in the dtype of x's sums.
  static HeadNorm in_sums(const HeadNorm& norm, const Array& x) {
    const DType sums = sum_dtype(x.dtype());
    return {norm.enabled, norm.eps, in_dtype(norm.q, sums), in_dtype(norm.k, sums)};
  }
};

}  // namespace

RotaryOps& cuda_rotary() {
  static auto& operations = *new CudaRotaryOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

#include "core/cuda/kernels/elementwise.h"

#include "core/cuda/kernels/map.h"

namespace folio::cuda {
namespace {

template <class Op>
struct Value {
  template <class A>
  __device__ A operator()(A x) const {
    return Op::value(x);
  }
};

template <class Op>
struct Slope {
  template <class A>
  __device__ A operator()(A x, A dy) const {
    return dy * Op::slope(x);
  }
};

template <int n, class Op, class T>
__global__ void __launch_bounds__(map_threads)
    grad_and_value_kernel(const T* x, T* dx, T* y, int64_t packs) {
  using A = ComputeType<T>;
  after_previous_kernel();
  const int64_t i = int64_t(blockIdx.x) * map_threads + threadIdx.x;
  if (i >= packs) return;
  const auto at = load_pack<n>(x + i * n);
  auto grads = load_pack<n>(dx + i * n);
  Pack<T, n> values;
#pragma unroll
  for (int j = 0; j < n; ++j) {
    grads.at[j] = T(A(grads.at[j]) * Op::slope(A(at.at[j])));
    if (y) values.at[j] = T(Op::value(A(at.at[j])));
  }
  store_pack<n>(dx + i * n, grads);
  if (y) store_pack<n>(y + i * n, values);
}

struct Sum {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a + b;
  }
};

struct Same {
  template <class A>
  __device__ A operator()(A x) const {
    return x;
  }
};

struct Constant {
  double value;
  __device__ double operator()() const { return value; }
};

struct Times {
  double factor;
  template <class A>
  __device__ A operator()(A x) const {
    return x * A(factor);
  }
};

template <class S>
struct TimesScalar {
  const S* factor;  // on the device
  template <class A>
  __device__ A operator()(A x) const {
    return x * A(*factor);
  }
};

}  // namespace

template <class T>
void unary(Unary op, const T* x, T* y, int64_t n, cudaStream_t stream) {
  visit_unary(op, [&](auto of) { map(of.name, Value<decltype(of)>(), y, n, stream, x); });
}

template <class T>
void unary_grad(Unary op, const T* x, const T* dy, T* dx, int64_t n, cudaStream_t stream) {
  visit_unary(op, [&](auto of) { map(of.name, Slope<decltype(of)>(), dx, n, stream, x, dy); });
}

template <class T>
void unary_grad_and_value(Unary op, const T* x, T* dx, T* y, int64_t n, cudaStream_t stream) {
  constexpr int pack = pack_size<T>;  // nvcc takes the variable itself for none inside the lambda
  visit_unary(op, [&](auto of) {
    auto run = [&]<int size>(std::integral_constant<int, size>, int64_t first, int64_t count,
                             unsigned blocks) {
      launch_early(of.name, grad_and_value_kernel<size, decltype(of), T>, {blocks, map_threads},
                   stream, x + first, dx + first, y ? y + first : nullptr, count);
    };
    in_packs<pack>(n, run, x, dx, y);
  });
}

template <class A, class B>
void add(const A* a, const B* b, A* y, int64_t n, cudaStream_t stream) {
  map("add", Sum(), y, n, stream, a, b);
}

template <class A, class B>
void cast(const A* x, B* y, int64_t n, cudaStream_t stream) {
  map("cast", Same(), y, n, stream, x);
}

template <class T>
void fill(T* x, double value, int64_t n, cudaStream_t stream) {
  map("fill", Constant{value}, x, n, stream);
}

template <class T>
void scale(T* x, double factor, int64_t n, cudaStream_t stream) {
  map("scale", Times{factor}, x, n, stream, const_cast<const T*>(x));
}

template <class T, class S>
void scale(T* x, const S* factor, int64_t n, cudaStream_t stream) {
  map("scale", TimesScalar<S>{factor}, x, n, stream, const_cast<const T*>(x));
}

template void unary(Unary, const double*, double*, int64_t, cudaStream_t);
template void unary_grad(Unary, const double*, const double*, double*, int64_t, cudaStream_t);
template void unary_grad_and_value(Unary, const double*, double*, double*, int64_t, cudaStream_t);
template void fill(double*, double, int64_t, cudaStream_t);
template void scale(double*, double, int64_t, cudaStream_t);
template void unary(Unary, const float*, float*, int64_t, cudaStream_t);
template void unary_grad(Unary, const float*, const float*, float*, int64_t, cudaStream_t);
template void unary_grad_and_value(Unary, const float*, float*, float*, int64_t, cudaStream_t);
template void fill(float*, double, int64_t, cudaStream_t);
template void scale(float*, double, int64_t, cudaStream_t);
template void unary(Unary, const bfloat16*, bfloat16*, int64_t, cudaStream_t);
template void unary_grad(Unary, const bfloat16*, const bfloat16*, bfloat16*, int64_t, cudaStream_t);
template void unary_grad_and_value(Unary, const bfloat16*, bfloat16*, bfloat16*, int64_t,
                                   cudaStream_t);
template void fill(bfloat16*, double, int64_t, cudaStream_t);
template void scale(bfloat16*, double, int64_t, cudaStream_t);
template void add(const double*, const double*, double*, int64_t, cudaStream_t);
template void cast(const double*, double*, int64_t, cudaStream_t);
template void scale(double*, const double*, int64_t, cudaStream_t);
template void add(const double*, const float*, double*, int64_t, cudaStream_t);
template void cast(const double*, float*, int64_t, cudaStream_t);
template void scale(double*, const float*, int64_t, cudaStream_t);
template void add(const double*, const bfloat16*, double*, int64_t, cudaStream_t);
template void cast(const double*, bfloat16*, int64_t, cudaStream_t);
template void scale(double*, const bfloat16*, int64_t, cudaStream_t);
template void add(const float*, const double*, float*, int64_t, cudaStream_t);
template void cast(const float*, double*, int64_t, cudaStream_t);
template void scale(float*, const double*, int64_t, cudaStream_t);
template void add(const float*, const float*, float*, int64_t, cudaStream_t);
template void cast(const float*, float*, int64_t, cudaStream_t);
template void scale(float*, const float*, int64_t, cudaStream_t);
template void add(const float*, const bfloat16*, float*, int64_t, cudaStream_t);
template void cast(const float*, bfloat16*, int64_t, cudaStream_t);
template void scale(float*, const bfloat16*, int64_t, cudaStream_t);
template void add(const bfloat16*, const double*, bfloat16*, int64_t, cudaStream_t);
template void cast(const bfloat16*, double*, int64_t, cudaStream_t);
template void scale(bfloat16*, const double*, int64_t, cudaStream_t);
template void add(const bfloat16*, const float*, bfloat16*, int64_t, cudaStream_t);
template void cast(const bfloat16*, float*, int64_t, cudaStream_t);
template void scale(bfloat16*, const float*, int64_t, cudaStream_t);
template void add(const bfloat16*, const bfloat16*, bfloat16*, int64_t, cudaStream_t);
template void cast(const bfloat16*, bfloat16*, int64_t, cudaStream_t);
template void scale(bfloat16*, const bfloat16*, int64_t, cudaStream_t);

}  // namespace folio::cuda

#include <algorithm>

#include "core/bfloat16.h"
#include "tests/cuda/emulator/blas.h"

namespace folio::emulator {
namespace {

constexpr int64_t part = 256;  // terms that are summed one after the other, as a GPU's tiles do

// d(i, j) = alpha sum_l a(i, l) b(l, j) + beta d(i, j) + bias(i), column-major, sums in S.
template <class S, class In, class Out>
void multiply(const Product& p, const In* a, const In* b, Out* d) {
  const bool ta = p.description.transpose_a == CUBLAS_OP_T,
             tb = p.description.transpose_b == CUBLAS_OP_T;
  const Out* bias = static_cast<const Out*>(p.description.bias);
  const int64_t depth = ta ? p.a.rows : p.a.cols;
  for (int64_t j = 0; j < p.d.cols; ++j)
    for (int64_t i = 0; i < p.d.rows; ++i) {
      S sum = 0;
      for (int64_t begin = 0; begin < depth; begin += part) {
        S of_part = 0;
        for (int64_t l = begin; l < std::min(depth, begin + part); ++l)
          of_part += S(ta ? a[i * p.a.ld + l] : a[l * p.a.ld + i]) *
                     S(tb ? b[l * p.b.ld + j] : b[j * p.b.ld + l]);
        sum += of_part;
      }
      Out& to = d[j * p.d.ld + i];
      sum = S(p.alpha) * sum + (p.beta == 0 ? S(0) : S(p.beta) * S(to));
      to = Out(bias ? sum + S(bias[i]) : sum);
    }
}

template <class S, class In, class Out>
void multiply_batch(const Product& p) {
  for (int32_t i = 0; i < p.d.batch; ++i)
    multiply<S>(p, static_cast<const In*>(p.A) + i * p.a.stride,
                static_cast<const In*>(p.B) + i * p.b.stride,
                static_cast<Out*>(p.D) + i * p.d.stride);
}

}  // namespace

void Product::run() const {
  if (a.type == CUDA_R_64F) return multiply_batch<double, double, double>(*this);
  if (a.type == CUDA_R_32F) return multiply_batch<float, float, float>(*this);
  if (d.type == CUDA_R_32F) return multiply_batch<float, bfloat16, float>(*this);
  multiply_batch<float, bfloat16, bfloat16>(*this);
}

}  // namespace folio::emulator

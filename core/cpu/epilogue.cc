#include "core/cpu/epilogue.h"

#include <algorithm>
#include <cmath>

namespace folio {

void widen(const bfloat16* x, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = float(x[i]);
}

void narrow(const float* x, int64_t n, bfloat16* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = bfloat16(x[i]);
}

template <class A, class T>
void bias_act(const A* sum, const A* bias, int64_t n, Unary act, T* pre, T* y) {
  if (act == Unary::none) {
    for (int64_t i = 0; i < n; ++i) y[i] = T(bias ? sum[i] + bias[i] : sum[i]);
    return;
  }
  visit_unary(act, [&](auto op) {
    for (int64_t i = 0; i < n; ++i) {
      A value = bias ? sum[i] + bias[i] : sum[i];
      if (pre) pre[i] = T(value);
      y[i] = T(op.value(value));
    }
  });
}

template <class A, class T>
void act_grad(const A* sum, const T* pre, int64_t n, Unary act, T* post, T* dx) {
  visit_unary(act, [&](auto op) {
    for (int64_t i = 0; i < n; ++i) {
      A x = A(pre[i]);
      if (post) post[i] = T(op.value(x));
      dx[i] = T(sum[i] * op.slope(x));
    }
  });
}

template <class A, class T>
A softmax_loss(const A* x, int64_t n, int64_t target, A scale, T* dx) {
  A top = *std::max_element(x, x + n), sum = 0, at_target = x[target];
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - top);
  if (dx) {
    A factor = scale / sum;
    for (int64_t i = 0; i < n; ++i)
      dx[i] = T(std::exp(x[i] - top) * factor - (i == target ? scale : A(0)));
  }
  return std::log(sum) + top - at_target;
}

template <class A, class T>
void add_row(const T* x, int64_t n, A* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += A(x[i]);
}

#define FOLIO_EPILOGUES(A, T)                                         \
  template void bias_act(const A*, const A*, int64_t, Unary, T*, T*); \
  template void act_grad(const A*, const T*, int64_t, Unary, T*, T*); \
  template A softmax_loss(const A*, int64_t, int64_t, A, T*);         \
  template void add_row(const T*, int64_t, A*);
FOLIO_EPILOGUES(double, double)
FOLIO_EPILOGUES(float, float)
FOLIO_EPILOGUES(float, bfloat16)
#undef FOLIO_EPILOGUES

}  // namespace folio

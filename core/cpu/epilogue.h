#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "core/elementwise.h"

namespace folio {

// What is done to a row of a product while it is in the cache. A is the type of the sums (float or
// double), T that of the result (A, or bfloat16 where A is float); y may be the row of sums itself.

void widen(const bfloat16* x, int64_t n, float* y);

// y = act(sum + bias), pre = sum + bias. bias and pre are optional; act may be none.
template <class A, class T>
void bias_act(const A* sum, const A* bias, int64_t n, Unary act, T* pre, T* y);

// dx = sum * slope(pre), post = act(pre). post is optional.
template <class A, class T>
void act_grad(const A* sum, const T* pre, int64_t n, Unary act, T* post, T* dx);

// -log softmax(z)[target], where z is x or, with a softcap c > 0, c tanh(x / c). With `dx`, also
// its gradient in x times `scale`; dx may be x, which is overwritten. `slopes` [n] is scratch,
// needed for a softcap and dx.
template <class A, class T>
A softmax_loss(A* x, int64_t n, int64_t target, A scale, T* dx, A softcap = 0, A* slopes = nullptr);

// y += x
template <class A, class T>
void add_row(const T* x, int64_t n, A* y);

}  // namespace folio

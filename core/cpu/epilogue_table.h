#pragma once
#include <cstdint>

#include "core/elementwise.h"

namespace folio {

// The functions of core/cpu/epilogue.h compiled for one SIMD target.
template <class A, class T>
struct EpilogueTable {
  void (*bias_act)(const A* sum, const A* bias, int64_t n, Unary act, T* pre, T* y);
  void (*act_grad)(const A* sum, const T* pre, int64_t n, Unary act, T* post, T* dx);
  A (*softmax_loss)(A* x, int64_t n, int64_t target, A scale, T* dx, A softcap, A* slopes);
  void (*add_row)(const T* x, int64_t n, A* y);
};

}  // namespace folio

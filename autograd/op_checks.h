#pragma once
#include "autograd/weight.h"

// What the ops check of their inputs, in messages that begin with the op's name and name the
// operand. For the sources of autograd/ alone.
namespace folio {

// Every op's first check: `x` holds numbers that it can compute with.
void check_values(const char* op, const char* name, const Tensor& x);
// What an op reads lies on the device of `x`.
void check_device(const char* op, const char* name, const Array& x, const Array& other);
// A parameter goes with the activations `x`: of the same dtype, or f32 under bf16.
void check_parameter(const char* op, const char* name, const Tensor& x, const Tensor& w);
// The same of one that may be undefined.
void check_optional(const char* op, const char* name, const Tensor& x, const Tensor& w);
// The same of a weight; a packed one needs NoGrad.
void check_weight(const char* op, const char* name, const Tensor& x, const Weight& w);
// `axis` of x, where a negative one counts from the end, counted from 0.
int check_axis(const char* op, const Tensor& x, int axis);
// `ids` are i32, and known to be in [least, below); nobody looks at them again.
void check_ids(const char* op, const char* name, const Array& ids, int64_t least, int64_t below);

// qkv [B, T, ...] holds such heads.
void check_heads(const char* op, const Tensor& qkv, const Heads& heads);

// x itself if it has that dtype.
Array to_dtype(Array x, DType dtype);
// x itself if no other Array sees its storage, else a copy.
Array owned(Array x);

// `backward`, called with dy in `dtype`, that of the op's result: the gradient of a bf16 result may
// arrive in f32.
template <class F>
auto with_dy_in(DType dtype, F backward) {
  return [dtype, backward = std::move(backward)](Array dy) mutable {
    return backward(to_dtype(std::move(dy), dtype));
  };
}

}  // namespace folio

#include "autograd/op_checks.h"

namespace folio {

Array to_dtype(Array x, DType dtype) {
  return x.dtype() == dtype ? x : backend(x)->elementwise.cast(x, dtype);
}

Array owned(Array x) { return x.sole_owner() ? x : backend(x)->elementwise.cast(x, x.dtype()); }

void check_values(const char* op, const char* name, const Tensor& x) {
  check(x.defined(),
        "{}: {} {} has a shape but no values: draw the weights, or load them, before a forward "
        "pass",
        op, name, x.shape());
  bool is_float = x.dtype() == DType::f64 || x.dtype() == DType::f32 || x.dtype() == DType::bf16;
  check(is_float, "{}: {} must be float64, float32 or bfloat16, got {}", op, name, x.dtype());
}

void check_device(const char* op, const char* name, const Array& x, const Array& other) {
  check(other.device() == x.device(), "{}: {} is on {}, but x is on {}; copy one of them (to)", op,
        name, other.device(), x.device());
}

void check_parameter(const char* op, const char* name, const Tensor& x, const Tensor& w) {
  check_values(op, name, w);
  check_device(op, name, x.array(), w.array());
  check(w.dtype() == x.dtype() || (w.dtype() == DType::f32 && x.dtype() == DType::bf16),
        "{}: {} is {}, but x is {}; cast one of them", op, name, w.dtype(), x.dtype());
}

void check_optional(const char* op, const char* name, const Tensor& x, const Tensor& w) {
  if (w.requires_grad() || w.defined()) check_parameter(op, name, x, w);
}

void check_weight(const char* op, const char* name, const Tensor& x, const Weight& w) {
  if (!w.is_packed()) return check_parameter(op, name, x, w.dense);
  check(NoGrad::active(),
        "{}: {} {} is packed in {}, for inference alone: open a NoGrad scope, or load the model "
        "that it was made from",
        op, name, w.shape(), w.packed.format);
  check_device(op, name, x.array(), w.packed.data);
}

int check_axis(const char* op, const Tensor& x, int axis) {
  int rank = x.shape().rank(), at = axis < 0 ? axis + rank : axis;
  check(at >= 0 && at < rank, "{}: x {} has {} dimensions, none of them {}", op, x.shape(), rank,
        axis);
  return at;
}

void check_ids(const char* op, const char* name, const Array& ids, int64_t least, int64_t below) {
  check(ids.defined(), "{}: the {} have no values", op, name);
  check(ids.dtype() == DType::i32, "{}: the {} must be int32, got {} {}", op, name, ids.dtype(),
        ids.shape());
  const std::optional<IdRange>& range = ids.id_range();
  check(
      range.has_value(),
      "{}: nobody has looked at what the {} {} are, so they could be out of range: make them from "
      "the host's values (token_ids, target_ids or to_array)",
      op, name, ids.shape());
  check(ids.size() == 0 || (least <= range->least && range->below <= below),
        "{}: the {} {} are from {} to {}, but must be from {} to {}", op, name, ids.shape(),
        range->least, range->below - 1, least, below - 1);
}

void check_heads(const char* op, const Tensor& qkv, const Heads& heads) {
  check(heads.n_head > 0 && heads.n_kv_head > 0 && heads.width > 0 &&
            heads.n_head % heads.n_kv_head == 0,
        "{}: {} heads of {} cannot share {} heads of keys and values: need a positive number that "
        "divides them",
        op, heads.n_head, heads.width, heads.n_kv_head);
  check(heads.window >= 0, "{}: a window must be 0 (none) or positive, got {}", op, heads.window);
  check(qkv.shape().rank() == 3 && qkv.dim(2) == heads.columns(),
        "{}: {} heads of {} with {} of keys need qkv [B, T, {}], got {}", op, heads.n_head,
        heads.width, heads.n_kv_head, heads.columns(), qkv.shape());
}

}  // namespace folio

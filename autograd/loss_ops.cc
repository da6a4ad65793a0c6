#include <algorithm>

#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {
namespace {

// x[..., ids[...]], the element of each row that its id names, or 0 where the id is -1.
Tensor pick(const Tensor& x, const Array& ids) {
  return record(backend(x.array())->layout.pick(x.array(), ids), {x},
                [ids, shape = x.shape()](Array dy) {
                  return std::vector<Array>{backend(dy)->layout.pick_grad(dy, ids, shape)};
                });
}

}  // namespace

// -log softmax(logits)[target], in f32 under bf16.
Tensor cross_entropy(const Tensor& logits, const Array& targets) {
  check_values("cross_entropy", "logits", logits);
  check(logits.shape().rank() > 0, "cross_entropy: logits must be [..., V], got {}",
        logits.shape());
  check_ids("cross_entropy", "targets", targets, -1, logits.dim(-1));
  check_device("cross_entropy", "the array of targets", logits.array(), targets);
  check(targets.size() == logits.array().rows(), "cross_entropy: logits {} need {} targets, got {}",
        logits.shape(), logits.array().rows(), targets.shape());
  std::vector<int32_t> host = to_vector<int32_t>(targets);
  auto counted = std::ranges::count_if(host, [](int32_t target) { return target >= 0; });

  Tensor wide = cast(logits, logits.dtype() == DType::f64 ? DType::f64 : DType::f32);
  Tensor log_p = pick(log_softmax(wide), targets.reshape({targets.size()}));
  return scale(sum(log_p, 0), -1.0 / double(counted));  // no target counts: NaN, as in PyTorch
}

}  // namespace folio

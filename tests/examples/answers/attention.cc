// The tour's fourth exercise: attention from matmul and softmax, beside the fused op.
//
//   build/tests/examples/attention
#include <algorithm>
#include <cmath>

#include "autograd/ops.h"

using namespace folio;

constexpr int64_t B = 2, T = 48, H = 4, D = 16, C = H * D;

// softmax(q k^T / sqrt(D)) v of each head, a position seeing itself and those before: qkv [B, T,
// 3 C] -> [B, T, C]
Tensor by_hand(const Tensor& qkv) {
  auto heads = [&](int64_t part) {  // 0: queries, 1: keys, 2: values -> [B, H, T, D]
    return transpose(reshape(slice(qkv, -1, part * C, (part + 1) * C), {B, T, H, D}), 1, 2);
  };
  Tensor scores = scale(matmul(heads(0), heads(1), {.transpose_b = true}), 1 / std::sqrt(D));
  Tensor y = matmul(softmax(causal_mask(scores)), heads(2));
  return reshape(transpose(y, 1, 2), {B, T, C});
}

Tensor fused(const Tensor& qkv) {
  return attention(qkv, {.n_head = H, .n_kv_head = H, .width = D}, Dropout{});
}

double largest_difference(const Array& a, const Array& b) {
  const auto left = to_vector<float>(a), right = to_vector<float>(b);
  double largest = 0;
  for (size_t i = 0; i < left.size(); ++i)
    largest = std::max(largest, std::abs(double(left[i]) - right[i]));
  return largest;
}

int main() {
  Array values({B, T, 3 * C}, DType::f32, cpu), weights({B, T, C}, DType::f32, cpu);
  backend(values)->random.normal(values, 0, 1, {.seed = 1, .stream = 0});
  backend(weights)->random.normal(weights, 0, 1, {.seed = 1, .stream = 1});
  Tensor a = Tensor::leaf(values), b = Tensor::leaf(values);
  Tensor y = by_hand(a), z = fused(b);
  y.backward(weights), z.backward(weights);  // d sum(y weights) / d qkv
  fmt::print("largest difference of the results {:.1e}, of the gradients {:.1e}\n",
             largest_difference(y.array(), z.array()), largest_difference(a.grad(), b.grad()));
}

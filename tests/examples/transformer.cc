// A transformer of one block, spelled out as in the paper (Vaswani et al., "Attention is all you
// need", 2017), but for norms before the layers instead of after them.
//
//   build/tests/examples/transformer input.txt [STEPS]
//
// On tiny Shakespeare the loss begins at 4.21, a little worse than guessing, and is 1.72 after
// 2,000 steps, which take half a minute; a table of pairs (bigram.cc) cannot do better than 2.45.
#include <cmath>

#include "autograd/ops.h"
#include "nn/module.h"
#include "tests/examples/text.h"
#include "train/optimizer/adamw.h"

using namespace folio;

constexpr int64_t T = 64, C = 64, H = 4, D = C / H;  // positions, channels, heads, channels a head

struct Transformer : Module {
  explicit Transformer(int64_t V) {
    Generator random{1};
    auto draw = [&](const char* name, Parameter& weight, Shape shape) {
      Array values(shape, DType::f32, cpu);
      backend(values)->random.normal(values, 0, 0.05, random.next());
      add(name, weight, values);
    };
    draw("characters", characters, {V, C}), draw("positions", positions, {T, C});
    draw("q", w_q, {C, C}), draw("k", w_k, {C, C}), draw("v", w_v, {C, C}), draw("o", w_o, {C, C});
    draw("in", w_in, {C, 4 * C}), draw("out", w_out, {4 * C, C}), draw("head", head, {C, V});
  }

  // tokens [B, T] -> logits [B, T, V] of the tokens that follow
  Tensor operator()(const Array& tokens) const {
    Tensor x = take_rows(characters, tokens) + positions;  // [B, T, C]
    x = x + attention(rms_norm(x, {}));
    x = x + feed_forward(rms_norm(x, {}));
    return matmul(rms_norm(x, {}), head);
  }

  // softmax(q k^T / sqrt(D)) v of every head, over the positions up to each one's own
  Tensor attention(const Tensor& x) const {
    auto heads = [&](const Parameter& w) {  // [B, T, C] -> [B, H, T, D]
      return transpose(reshape(matmul(x, w), {x.dim(0), T, H, D}), 1, 2);
    };
    Tensor q = heads(w_q), k = heads(w_k), v = heads(w_v);
    Tensor scores = scale(matmul(q, k, {.transpose_b = true}), 1 / std::sqrt(D));  // [B, H, T, T]
    Tensor y = matmul(softmax(causal_mask(scores)), v);                            // [B, H, T, D]
    return matmul(reshape(transpose(y, 1, 2), x.shape()), w_o);
  }

  Tensor feed_forward(const Tensor& x) const { return matmul(relu(matmul(x, w_in)), w_out); }

  Parameter characters, positions, w_q, w_k, w_v, w_o, w_in, w_out, head;
};

int main(int argc, char** argv) try {
  check(argc >= 2, "usage: transformer TEXT [STEPS]");
  const int steps = argc > 2 ? std::stoi(argv[2]) : 2000;
  examples::Text text(argv[1]);
  Transformer model(text.vocab_size());
  AdamW optimizer(model, {});
  for (int step = 0; step < steps; ++step) {
    if (step % 500 == 0) fmt::print("step {}: loss {:.4f}\n", step, evaluate(model, text, T));
    auto [x, y] = text.batch(16, T);
    Tensor loss = cross_entropy(model(x), y);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step({3e-3 * (1 - double(step) / steps)});
  }
  fmt::print("step {}: loss {:.4f}\n{}\n", steps, evaluate(model, text, T),
             generate(model, text, T, 200));
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}

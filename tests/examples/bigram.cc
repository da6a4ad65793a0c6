// The smallest language model: a table with one row of logits a character, from which the next one
// is guessed, after Karpathy's lecture "Let's build GPT: from scratch, in code, spelled out"
// (2023).
//
//   build/tests/examples/bigram input.txt [STEPS]
//
// On tiny Shakespeare the loss begins at log 65 = 4.17, guessing, and is 2.455 after 2,000 steps:
// no table can do better than 2.453, the entropy of a character given the one before it.
#include "autograd/ops.h"
#include "nn/module.h"
#include "tests/examples/text.h"
#include "train/optimizer/adamw.h"

using namespace folio;

struct Bigram : Module {
  explicit Bigram(int64_t V) { add("table", table, zeros({V, V}, DType::f32, cpu)); }

  // tokens [B, T] -> logits [B, T, V] of the tokens that follow
  Tensor operator()(const Array& tokens) const { return take_rows(table, tokens); }

  Parameter table;  // [V, V]
};

int main(int argc, char** argv) try {
  check(argc >= 2, "usage: bigram TEXT [STEPS]");
  const int steps = argc > 2 ? std::stoi(argv[2]) : 2000;
  examples::Text text(argv[1]);
  Bigram model(text.vocab_size());
  AdamW optimizer(model, {});

  for (int step = 0; step < steps; ++step) {
    if (step % 500 == 0) fmt::print("step {}: loss {:.4f}\n", step, evaluate(model, text, 64));
    auto [x, y] = text.batch(64, 64);
    Tensor loss = cross_entropy(model(x), y);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step({.learning_rate = step < steps / 2 ? 0.1 : 0.01, .weight_decay = 0});
  }
  fmt::print("step {}: loss {:.4f}\n{}\n", steps, evaluate(model, text, 64),
             generate(model, text, 1, 200));
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}

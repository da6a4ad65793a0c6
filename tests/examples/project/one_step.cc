// A program over folio's installed library: one step of AdamW on a model that folio can open.
//   one_step MODEL TEXT
#include "checkpoint/open_model.h"
#include "train/optimizer/adamw.h"

using namespace folio;

int main(int argc, char** argv) try {
  check(argc == 3, "usage: one_step MODEL TEXT");
  const OpenedModel opened = open_model(argv[1], "", cpu);
  const std::vector<int32_t> ids = opened.tokenizer->encode(argv[2]);
  const int64_t T = std::ssize(ids) - 1;
  const Array x = to_array(std::vector(ids.begin(), ids.end() - 1), {1, T}, cpu);
  const Array y = to_array(std::vector(ids.begin() + 1, ids.end()), {1, T}, cpu);
  AdamW optimizer(*opened.model, {});
  const Tensor loss = opened.model->loss(x, y);
  loss.backward();
  optimizer.step({.learning_rate = 1e-3});
  fmt::print("loss {:.4f}, after a step {:.4f}\n", item(loss.array()),
             item(opened.model->loss(x, y).array()));
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}

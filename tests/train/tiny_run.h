#pragma once
#include <filesystem>
#include <fstream>

#include "configs/train_options.h"
#include "data/corpus/prepare.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"

namespace folio {

// A model that trains in milliseconds, on text with something to learn.
inline TrainOptions tiny_options(const TemporaryFolder& folder) {
  std::string text;
  uint64_t state = 1;
  while (text.size() < 6000) {
    const char* words[] = {"to be ", "or not ", "the king ", "is dead, ", "long live ", "Rome.\n"};
    state = state * 6364136223846793005u + 1442695040888963407u;
    text += words[(state >> 33) % 6];
  }
  std::filesystem::path input = folder / "input.txt";
  std::ofstream(input) << text;
  TrainOptions o;
  o.device = name_of(test_device());
  o.data_dir = folder / "datasets";
  o.dataset = "tiny";
  o.out_dir = folder / "out";
  if (!std::filesystem::exists(o.data_dir))
    prepare({.name = "tiny", .input = input.string(), .data_dir = o.data_dir});
  o.model.n_layer = 2;
  o.model.n_head = 2;
  o.model.n_embd = 16;
  o.model.block_size = 16;
  o.batch_size = 4;
  o.gradient_accumulation_steps = 2;
  o.model.dropout = 0.2;
  o.max_iters = 40;
  o.eval_interval = 4;
  o.eval_iters = 2;
  o.warmup_iters = 5;
  o.lr_decay_iters = 40;
  o.learning_rate = 1e-2;
  return o;
}

}  // namespace folio

#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "configs/train_options.h"
#include "data/corpus/prepare.h"
#include "tests/device.h"

namespace folio {

// A folder of its own for a test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "folio-XXXXXX").string();
    if (!mkdtemp(name.data())) fail("cannot make a folder in {}", name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A model that trains in milliseconds, on text with something to learn.
inline TrainOptions tiny_options(const TemporaryFolder& folder) {
  std::string text;
  uint64_t state = 1;
  while (text.size() < 6000) {
    const char* words[] = {"to be ", "or not ", "the king ", "is dead, ", "long live ", "Rome.\n"};
    state = state * 6364136223846793005u + 1442695040888963407u;
    text += words[(state >> 33) % 6];
  }
  std::filesystem::path input = folder.path() / "input.txt";
  std::ofstream(input) << text;
  TrainOptions o;
  o.device = name_of(test_device());
  o.data_dir = (folder.path() / "datasets").string();
  o.dataset = "tiny";
  o.out_dir = (folder.path() / "out").string();
  if (!std::filesystem::exists(o.data_dir))
    prepare({.name = "tiny", .input = input.string(), .data_dir = o.data_dir});
  o.n_layer = 2;
  o.n_head = 2;
  o.n_embd = 16;
  o.block_size = 16;
  o.batch_size = 4;
  o.gradient_accumulation_steps = 2;
  o.dropout = 0.2;
  o.max_iters = 40;
  o.eval_interval = 4;
  o.eval_iters = 2;
  o.warmup_iters = 5;
  o.lr_decay_iters = 40;
  o.learning_rate = 1e-2;
  return o;
}

}  // namespace folio

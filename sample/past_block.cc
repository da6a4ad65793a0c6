#include "sample/past_block.h"

#include <algorithm>

#include "core/check.h"

namespace folio {

PastBlock past_block_named(std::string_view name) {
  if (name == "slide") return PastBlock::slide;
  if (name == "block") return PastBlock::block;
  if (name == "stop") return PastBlock::stop;
  fail("past_block \"{}\" is not known; it can be slide, block or stop", name);
}

ContextWindow::ContextWindow(int64_t block_size, PastBlock past_block, int64_t keep)
    : block_size(block_size), keep(keep) {
  check(0 <= keep && keep <= block_size,
        "keep: a window of the model's block_size, {} tokens, can keep 1 to {} of them (0: half), "
        "got {}",
        block_size, block_size, keep);
  if (keep == 0) this->keep = std::max<int64_t>(1, block_size / 2);
  if (past_block != PastBlock::block) this->keep = block_size;
}

int64_t ContextWindow::start(int64_t length) const {
  int64_t stride = block_size - keep + 1;  // tokens that one window predicts before the next starts
  int64_t past = std::max<int64_t>(0, length - block_size);
  return (past + stride - 1) / stride * stride;
}

}  // namespace folio

#include "sample/past_block.h"

#include <algorithm>

#include "core/check.h"

namespace folio {

PastBlock past_block_named(std::string_view name, const GptConfig& config) {
  const bool endless = has_endless_stream(config);
  if (name == "auto")
    return endless && config.attention_window <= config.block_size ? PastBlock::window
                                                                   : PastBlock::block;
  for (PastBlock known : {PastBlock::window, PastBlock::slide, PastBlock::block, PastBlock::stop}) {
    if (name != name_of(known)) continue;
    check(known != PastBlock::window || endless,
          "past_block=window: needs a model whose positions are not learned and that has a window; "
          "this one has position={} and attention_window={}; take block, slide or stop{}",
          config.position, config.attention_window,
          config.position == "rotary" ? ", or give it a window (--window=W), which is approximate"
                                      : "");
    return known;
  }
  fail("past_block \"{}\" is not known; it can be auto, window, block, slide or stop", name);
}

std::string_view name_of(PastBlock past_block) {
  switch (past_block) {
    case PastBlock::window:
      return "window";
    case PastBlock::slide:
      return "slide";
    case PastBlock::block:
      return "block";
    default:
      return "stop";
  }
}

bool has_endless_stream(const GptConfig& config) {
  return config.position != "learned" && config.attention_window > 0;
}

ContextWindow::ContextWindow(int64_t block_size, PastBlock past_block, int64_t keep)
    : block_size(block_size), keep(keep), moves(past_block != PastBlock::window) {
  check(moves || keep == 0,
        "keep={}: past_block=window leaves nothing behind from which a text would start again; "
        "leave keep out, or let past_block be block",
        keep);
  check(0 <= keep && keep <= block_size,
        "keep: a window of the model's block_size, {} tokens, can keep 1 to {} of them (0: half), "
        "got {}",
        block_size, block_size, keep);
  if (keep == 0) this->keep = std::max<int64_t>(1, block_size / 2);
  if (past_block != PastBlock::block) this->keep = block_size;
}

int64_t ContextWindow::start(int64_t length) const {
  if (!moves) return 0;
  int64_t stride = block_size - keep + 1;  // tokens that one window predicts before the next starts
  int64_t past = std::max<int64_t>(0, length - block_size);
  return (past + stride - 1) / stride * stride;
}

}  // namespace folio

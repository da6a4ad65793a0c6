#pragma once
#include <cstdint>
#include <string_view>

#include "nn/gpt_config.h"

namespace folio {

// What the model sees of a text that has outgrown block_size, T.
enum class PastBlock {
  window,  // all that one forward pass over the whole text sees: positions are not learned, and one
           // sees a window of those before it (see has_endless_stream), so that the cache is a
           // ring, nothing is computed again, and a token costs the same at any length
  slide,   // the last T tokens, as nanoGPT's generate: every position changes with every token, so
           // the whole window is computed again for each
  block,   // the last `keep` tokens are computed again at positions 0 to keep - 1, then the window
           // grows over the cache until it is full once more: a token costs the same at any length
  stop,    // nothing: the text ends at T + 1 tokens, the last of them drawn from a full window
};
// One of these names, or auto: window where the model has an endless stream and its window is no
// longer than T, the longest distance that it has learned; else block. Error for any other name,
// and for window where the model has no endless stream.
PastBlock past_block_named(std::string_view name, const GptConfig& config);
std::string_view name_of(PastBlock past_block);

// Whether the model can go on over a cache that forgets, and be exact: it has an attention_window,
// and positions are rotary or none.
bool has_endless_stream(const GptConfig& config);

// The tokens that predict what follows `length` tokens are [start(length), length). A pure function
// of the length: a token of a prompt and a drawn one count alike. slide is block with keep = T.
struct ContextWindow {
  int64_t block_size;
  int64_t keep;  // tokens of a full window that its successor starts from, 1 to block_size
  bool moves;    // not with PastBlock::window: start is always 0

  // `keep` 0: block_size / 2. Error for one that is larger than block_size, and for any with
  // PastBlock::window.
  ContextWindow(int64_t block_size, PastBlock past_block, int64_t keep = 0);
  int64_t start(int64_t length) const;
};

}  // namespace folio

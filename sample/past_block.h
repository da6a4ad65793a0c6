#pragma once
#include <cstdint>
#include <string_view>

namespace folio {

// What the model sees of a text that has outgrown block_size, T.
enum class PastBlock {
  slide,  // the last T tokens, as nanoGPT's generate: every position changes with every token, so
          // the whole window is computed again for each
  block,  // the last `keep` tokens are computed again at positions 0 to keep - 1, then the window
          // grows over the cache until it is full once more: a token costs the same at any length
  stop,   // nothing: the text ends at T + 1 tokens, the last of them drawn from a full window
};
PastBlock past_block_named(std::string_view name);

// The tokens that predict what follows `length` tokens are [start(length), length). A pure function
// of the length: a token of a prompt and a drawn one count alike. slide is block with keep = T.
struct ContextWindow {
  int64_t block_size;
  int64_t keep;  // tokens of a full window that its successor starts from, 1 to block_size

  // `keep` 0: block_size / 2. Error for one that is larger than block_size.
  ContextWindow(int64_t block_size, PastBlock past_block, int64_t keep = 0);
  int64_t start(int64_t length) const;
};

}  // namespace folio

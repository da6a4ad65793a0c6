#pragma once
#include <cstdint>

#include "data/tokenizer/bpe_vocabulary.h"
#include "data/tokenizer/training/pretoken_counts.h"

namespace folio {

struct BpeTrainerOptions {
  int64_t vocab_size = 0;     // least_bpe_vocab or more
  int64_t min_frequency = 2;  // a pair that occurs less often is not merged
};

constexpr int64_t least_bpe_vocab = 257;  // <|endoftext|> and the bytes

// Byte-pair encoding as Hugging Face's BpeTrainer trains it: the pair of neighbours that occurs
// most often within the pretokens becomes a token, among equals the one whose ids are smaller, left
// before right, until there are vocab_size tokens. Id 0 is <|endoftext|>, 1 to 256 are the bytes in
// the order of the byte alphabet's characters, the tokens of the merges follow.
//
// Takes memory in proportion to the distinct pretokens' bytes, and time in proportion to them and
// the logarithm of their length. Throws Error, with the number of merges that there are, if there
// are too few; Interrupted (core/process/stop.h).
BpeVocabulary train_bpe(const SharedPretokenCounts& counts, const BpeTrainerOptions& options);

}  // namespace folio

#pragma once
#include <memory>

#include "data/corpus/corpus_pieces.h"
#include "data/tokenizer/bpe_tokenizer.h"

namespace folio {

// A byte-level BPE (data/tokenizer/training/train_bpe.h) of options.vocab_size tokens, trained on
// the train split alone: what val measures is text that the tokenizer has not seen. "<|endoftext|>"
// in the text is no text with allow_special. Throws Error, Interrupted.
std::shared_ptr<const BpeTokenizer> train_tokenizer(const Corpus& corpus,
                                                    const PrepareOptions& options);

}  // namespace folio

#pragma once
#include <string>

#include "data/hugging_face/text_format.h"
#include "data/tokenizer/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// What a model writes in the middle of its training: `tokens` tokens after the default start, as
// `folio sample --num_samples=1` draws them from its checkpoint, in UTF-8. The model stays as it
// is, its random streams too: a packed copy of its matrices writes. Throws Error for logits that
// are not finite, Interrupted once a stop is requested (core/process/stop.h).
std::string training_sample(Gpt& model, const Tokenizer& tokenizer, const EndTokens& ends,
                            int64_t tokens);

}  // namespace folio

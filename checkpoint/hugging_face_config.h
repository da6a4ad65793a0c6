#pragma once
#include "data/hugging_face/gpt2_config.h"
#include "nn/gpt_config.h"

namespace folio {

// The fields of a model and the keys of its config.json, which says the same of a GPT-2.
GptConfig gpt_config(const Gpt2Config& config);
// `rows` of the token embedding are written. Throws Error, naming the field, for a model that is no
// GPT-2: it would not come back as it is. But for dropout, which is for training, and biases: a
// model without them gets zeros.
Gpt2Config gpt2_config(const GptConfig& config, int64_t rows);

}  // namespace folio

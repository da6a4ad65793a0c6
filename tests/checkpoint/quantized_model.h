#pragma once
#include "core/weight_format.h"
#include "nn/gpt_config.h"

namespace folio {

// The model whose weights the tests of quantised files and of `folio quantize` quantise, in each
// format that such a file can have.
inline const GptConfig quantized_config{
    .block_size = 8, .vocab_size = 40, .n_layer = 2, .n_head = 2, .n_embd = 36, .bias = false};
inline constexpr WeightFormat quantized_formats[] = {WeightFormat::bf16, WeightFormat::int8,
                                                     WeightFormat::int4};

}  // namespace folio

#pragma once
#include <memory>
#include <string>

#include "data/tokenizer/bpe_tokenizer.h"

namespace folio {

// Reads GPT-2's tokenizer, or another byte-level BPE. `path` is a folder with, or is
// itself one of, these files:
//   tokenizer.json            Hugging Face's tokenizers
//   vocab.json, merges.txt    Hugging Face's transformers
//   encoder.json, vocab.bpe   OpenAI's
// with the tokens that tokenizer_config.json, special_tokens_map.json and added_tokens.json beside
// it add (stated_tokens.h). Error, with the file, the line or the key and what is wrong there.
std::shared_ptr<const BpeTokenizer> load_bpe(const std::string& path);

// What vocab.json and merges.txt hold. With `model_alone`, none of the added tokens that are not in
// the model too.
std::string vocab_json(const BpeVocabulary& vocabulary, bool model_alone = false);
std::string merges_txt(const BpeVocabulary& vocabulary);

}  // namespace folio

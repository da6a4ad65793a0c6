#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizer.h"

namespace folio {

// The tokenizer in a folder of Hugging Face's layout, or null if the folder has none. Throws Error
// for files that are damaged or hold a kind that folio lacks.
std::shared_ptr<const Tokenizer> load_tokenizer_files(const std::filesystem::path& folder);

// Writes the files from which transformers' AutoTokenizer makes the same ids: vocab.json and
// merges.txt for a byte-level BPE, a tokenizer.json of single characters for a character model.
// `max_length` is the model's context.
void save_tokenizer_files(const std::filesystem::path& folder, const Tokenizer& tokenizer,
                          int64_t max_length);

}  // namespace folio

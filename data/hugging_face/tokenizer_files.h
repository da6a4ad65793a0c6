#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "data/hugging_face/text_format.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// The tokenizer in a folder of Hugging Face's layout, or null if the folder has none. Throws Error
// for files that are damaged or hold a kind that folio lacks.
std::shared_ptr<const Tokenizer> load_tokenizer_files(const std::filesystem::path& folder);

// The digest in the folder's tokenizer_config.json that an export by folio gave it; "" without one.
std::string tokenizer_digest(const std::filesystem::path& folder);

// The files, text by name, from which transformers' AutoTokenizer makes the same ids: vocab.json
// and merges.txt for a BPE that goes GPT-2's way and has <|endoftext|>, a tokenizer.json for any
// other (to which GPT2Tokenizer would do otherwise) and for a character model;
// tokenizer_config.json beside them. `max_length` is the model's context; `chat`, unless empty,
// becomes the chat_template and what it calls tokens; `digest`, unless empty, tells which model
// they go with.
std::map<std::string, std::string> tokenizer_files(const Tokenizer& tokenizer, int64_t max_length,
                                                   const ChatFormat& chat = {},
                                                   const std::string& digest = "");
// The tokenizer.json of a byte-level BPE, <|endoftext|> or not.
std::string bpe_tokenizer_json(const BpeTokenizer& tokenizer);
// Writes them.
void save_tokenizer_files(const std::filesystem::path& folder, const Tokenizer& tokenizer,
                          int64_t max_length);

}  // namespace folio

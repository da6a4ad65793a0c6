#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/bpe_vocabulary.h"

namespace folio {

// A token that a file of Hugging Face's puts beside a vocabulary.
struct StatedToken {
  std::string text;
  std::optional<int64_t> id;  // as the file says, if it does
  AddedToken kind;            // but for its id
  std::string where;          // the file and the key
};

// The tokens that tokenizer.json (null without one), tokenizer_config.json, special_tokens_map.json
// and added_tokens.json of a folder add to the model's `vocab`, {"token": id, ...}, each once and
// with the id that transformers gives it: the vocabulary's, or the next that is free. Throws Error
// that names the file and the key for an id that a file says otherwise, for a key that folio does
// not know, and for a setting with which transformers would make other ids of a text than folio.
std::vector<StatedToken> stated_tokens(const std::filesystem::path& folder,
                                       const nlohmann::json* tokenizer_json,
                                       const nlohmann::json& vocab);

// What the folder's tokenizer_config.json calls its class; "" if it says nothing.
std::string tokenizer_class(const std::filesystem::path& folder);

// Throws Error for a key of tokenizer.json that folio does not know.
void check_top_keys(const nlohmann::json& tokenizer_json, const std::string& path);

}  // namespace folio

#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/tokenizer/pretokenizers/steps.h"

namespace folio {

// How a byte-level BPE goes about a text, beside its vocabulary: what Hugging Face's tokenizer.json
// says of it. The default is GPT-2's way.
struct BpeSettings {
  bool nfc = false;  // texts are brought into Unicode's normalization form C first
  PretokenizerSteps steps = {ByteLevelStep{}};
  bool ignore_merges = false;  // a pretoken that is a token is that token, before any merge
  // What a byte becomes that the vocabulary lacks; it vanishes without one.
  std::string unk_token = {};
  bool fuse_unk = false;             // one for several in a row
  std::vector<int32_t> starts = {};  // ids that a text begins with, where one asks for them

  bool operator==(const BpeSettings&) const = default;
};

// What tokenizer.json says around its vocabulary, merges and added tokens. Throws Error, which
// names the file and the key, for what folio does not do.
BpeSettings read_settings(const nlohmann::json& tokenizer_json, const std::string& path);
// Its "normalizer": whether there is NFC.
bool read_nfc(const nlohmann::json& tokenizer_json, const std::string& path);
// Its "post_processor": the ids that it puts before a text.
std::vector<int32_t> read_starts(const nlohmann::json& tokenizer_json, const std::string& path);

// The settings under tokenizer.json's keys "normalizer", "pre_tokenizer", "post_processor" and
// "decoder"; `starts` are the tokens that texts begin with.
nlohmann::ordered_json settings_json(const BpeSettings& settings,
                                     const std::vector<std::string>& starts);
// The keys of tokenizer.json's "model" but for "vocab" and "merges".
nlohmann::ordered_json model_json(const BpeSettings& settings);

}  // namespace folio

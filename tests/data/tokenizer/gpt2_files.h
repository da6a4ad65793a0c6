#pragma once
#include <filesystem>
#include <string>

#include "data/tokenizer/bpe_vocabulary.h"
#include "data/tokenizer/byte_alphabet.h"
#include "tests/paths.h"

namespace folio {

// OpenAI's files, where a developer has them beside the tree.
inline std::string gpt2_files() { return source_path("../shared/data/gpt2"); }
inline bool has_gpt2_files() { return std::filesystem::exists(gpt2_files() + "/encoder.json"); }

// The 256 bytes in GPT-2's order: first those that print.
inline void add_bytes(BpeVocabularyBuilder& builder) {
  int64_t id = 0;
  for (bool prints : {true, false})
    for (int byte = 0; byte < 256; ++byte) {
      std::string spelling = spell_bytes(std::string(1, char(byte)));
      bool is_itself = spelling < "\u0100";
      if (is_itself == prints) builder.add_token(spelling, id++, "a test");
    }
}

}  // namespace folio

#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

namespace folio {

// The steps by which a tokenizer.json of Hugging Face's cuts a text, under its names.

// What becomes of a text's parts that a pattern matches, and, the other way round, of those
// between.
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

struct SplitStep {
  std::string pattern;
  bool is_regex = true;  // Oniguruma's; otherwise a text
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;  // matches and what lies between change places

  bool operator==(const SplitStep&) const = default;
};

struct DigitsStep {
  bool individual_digits = false;  // each a part of its own, otherwise each run of them

  bool operator==(const DigitsStep&) const = default;
};

// Where bytes become the byte alphabet: the last step.
struct ByteLevelStep {
  bool add_prefix_space = false;  // to each part that begins with none
  bool use_regex = true;          // cuts by GPT-2's pattern

  bool operator==(const ByteLevelStep&) const = default;
};

using PretokenizerStep = std::variant<SplitStep, DigitsStep, ByteLevelStep>;
using PretokenizerSteps = std::vector<PretokenizerStep>;  // the last is a ByteLevelStep

// Qwen's own, of which its tokenizers without a tokenizer.json say nothing.
PretokenizerSteps qwen_steps();

// tokenizer.json's "pre_tokenizer". Throws Error, which begins with `where`, for a step or a
// setting that folio does not have, and for steps after ByteLevel or without it.
PretokenizerSteps read_steps(const nlohmann::json& json, const std::string& where);
nlohmann::ordered_json steps_json(const PretokenizerSteps& steps);

}  // namespace folio

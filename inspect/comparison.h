#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inspect/inspection.h"

namespace folio {

// A second model on the text of an inspection.
struct Comparison {
  std::string source;
  // The fields of the configuration that differ: name, the first model's, the second's.
  std::vector<std::array<std::string, 3>> config;
  LogitLens lens;
  std::vector<HeadScore> heads;
  // Of each head how far apart the two look: mean over positions of half the sum of |p - q|, from 0
  // to 1. Empty where the models have not the same layers and heads.
  std::vector<double> attention_distance;
  // Of each parameter that both have in one shape: |second - first| / |first|.
  std::vector<std::pair<std::string, double>> parameter_distance;
};

// Error unless `other`, whose tokenizer is given, reads the inspection's text as the same tokens
// and all at once.
Comparison compare(const Inspection& inspection, Gpt& model, Gpt& other, const Tokenizer& tokenizer,
                   std::string source);

}  // namespace folio

#pragma once
#include <string>
#include <vector>

#include "inspect/captures.h"

namespace folio {

// One tensor of the walk through a forward pass, in the order in which it was computed.
struct WalkStep {
  std::string point;  // "h.0.attn.scores"
  int64_t layer = -1;
  std::string in_block;  // "attn.scores"; the point itself outside of blocks
  std::vector<int64_t> shape;
  DType dtype = DType::f32;
  int64_t bytes = 0;
  double multiply_adds = 0;  // of the products that made it out of the tensors before it
  double least = 0, greatest = 0, mean = 0, deviation = 0;  // of its finite elements
};

std::vector<WalkStep> forward_walk(const GptConfig& config, const Captures& captures);

// Multiply-adds of a plain forward pass over T tokens that make this point, "attn.q" for instance.
double multiply_adds(const GptConfig& config, std::string_view in_block, int64_t T);

// What decoding costs, for a step that reads `fresh` tokens of which the last sees `length`.
struct CacheCosts {
  double matrix = 0;            // multiply-adds a token in the blocks' matrices
  double head = 0;              // multiply-adds a step in the head, for its last token
  double pair = 0;              // multiply-adds for each position that a token sees
  int64_t bytes_per_token = 0;  // of keys and values in f32, all layers
  int64_t weight_bytes = 0;     // that a step reads, in f32: every matrix once
};
CacheCosts cache_costs(const GptConfig& config);

}  // namespace folio

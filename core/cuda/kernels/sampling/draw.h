#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/random.h"

namespace folio::cuda {

// What changes from one draw of a row to its next: on the device, for a launch that is made again
// finds other numbers there.
struct DeviceRowDraw {
  RandomStream stream;
  uint64_t number;
  int64_t seen_begin, seen_count;  // of Draws::seen
};

// What core/backend/sampling.h says of draw, on pointers of the device. Options as numbers that a
// kernel takes (core/devices/token_weights.h).
struct Draws {
  const float* logits;  // [rows, V]
  int64_t V;
  int tokens;
  const DeviceRowDraw* rows;
  const int32_t* seen;
  float* penalised;  // [rows, tokens], to work in; null without a repetition penalty
  float repetition_penalty;
  bool greedy;  // temperature 0
  float distance_scale;
  int top_k;  // 0: all
  double top_p;
  uint64_t least_weight;  // of min_p
  int32_t* ids;           // [rows]
  int32_t* next;          // [rows], the same with 0 for -1; null: not wanted
};

void draw(const Draws& draws, int64_t rows, cudaStream_t stream);

}  // namespace folio::cuda

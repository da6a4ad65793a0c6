#pragma once
// What the attention kernels share: where a head's rows are, and which probabilities are kept.
#include "core/cuda/gpu.h"
#include "core/cuda/kernels/attention/attention.h"

namespace folio::cuda {

// A head's columns of the row at position 0 of y [B, T, C]; head = b H + h.
template <class E>
__device__ E* result_rows(E* from, const AttentionSizes& s, int head) {
  return from + int64_t(head / s.H) * s.T * s.C() + head % s.H * s.D;
}
// The same of qkv [B, T, columns]: of the queries of a head, and of the keys of one; head = b KV +
// h for these. Values are KV D further.
template <class E>
__device__ E* query_rows(E* from, const AttentionSizes& s, int head) {
  return from + int64_t(head / s.H) * s.T * s.columns() + head % s.H * s.D;
}
template <class E>
__device__ E* key_rows(E* from, const AttentionSizes& s, int head) {
  return from + int64_t(head / s.KV) * s.T * s.columns() + (s.H + head % s.KV) * s.D;
}

// Bit i: whether the probability of key `key` + i is kept, i < 8.
__device__ inline uint32_t kept_of_eight(const Dropout& dropout, const AttentionSizes& s, int head,
                                         int query, int key) {
  const uint64_t first =
      (uint64_t(head) * uint64_t(s.T) + uint64_t(query)) * uint64_t(s.T) + uint64_t(key);
  auto kept = [&](uint64_t block) {
    const auto words = dropout.stream.block(block);
    uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) {
      bits |= uint32_t((words[size_t(i)] & 0xffff) >= dropout.threshold) << (2 * i);
      bits |= uint32_t((words[size_t(i)] >> 16) >= dropout.threshold) << (2 * i + 1);
    }
    return bits;
  };
  uint32_t bits = kept(first / 8);
  if (first % 8 != 0) bits = (bits | kept(first / 8 + 1) << 8) >> (first % 8);
  return bits & 0xff;
}

}  // namespace folio::cuda

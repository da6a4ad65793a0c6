#pragma once
#include <algorithm>
#include <vector>

#include "core/backend.h"

namespace folio {

// The keys and values that attention has seen, a layer at a time, for B sequences that may have
// different lengths. Passed to the model by whoever generates; attention alone reads and writes it.
struct KvCache {
  std::vector<KvLayer> layers;
  std::vector<int64_t> lengths;  // [B] tokens seen so far, by each sequence
  int64_t capacity = 0;          // tokens that fit

  // Room for B sequences of up to `capacity` tokens.
  KvCache(int64_t B, int64_t capacity, int64_t n_layer, int64_t n_embd, int64_t n_head, DType dtype,
          Device device)
      : lengths(size_t(B), 0), capacity(capacity) {
    for (int64_t i = 0; i < n_layer; ++i)
      layers.push_back(backend(device).make_kv_layer(B, capacity, n_embd, n_head, dtype));
  }

  // A view of sequences [begin, end): it shares their keys and values, and counts for itself.
  KvCache rows(int64_t begin, int64_t end) const {
    KvCache view;
    for (const KvLayer& layer : layers) view.layers.push_back(layer.rows(begin, end));
    view.lengths.assign(lengths.begin() + begin, lengths.begin() + end);
    view.capacity = capacity;
    return view;
  }
  // Sequence `from_row` of a cache of the same model becomes sequence `row` of this one.
  void copy_row(const KvCache& from, int64_t from_row, int64_t row) {
    int64_t length = from.lengths.at(size_t(from_row));
    for (size_t i = 0; i < layers.size(); ++i) {
      backend(layers[i].k).copy_kv(from.layers.at(i), from_row, layers[i], row, length);
    }
    lengths.at(size_t(row)) = length;
  }
  size_t bytes() const {
    size_t total = 0;
    for (const KvLayer& layer : layers) total += layer.bytes();
    return total;
  }

  int64_t batch() const { return int64_t(lengths.size()); }
  int64_t length() const { return *std::ranges::max_element(lengths); }
  void advance(int64_t tokens) {
    for (int64_t& length : lengths) length += tokens;
  }
  void clear() { std::ranges::fill(lengths, 0); }

 private:
  KvCache() = default;
};

}  // namespace folio

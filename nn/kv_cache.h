#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "core/backend.h"

namespace folio {

// The keys and values that attention has seen, a layer at a time, for B sequences that may have
// different lengths. Passed to the model by whoever generates: attention writes keys and
// values, Gpt::blocks advances the lengths.
class KvCache {
 public:
  // Room for B sequences of up to `capacity` tokens; of heads with a window for any number, in the
  // memory of a little more than a window.
  KvCache(int64_t B, int64_t capacity, int64_t n_layer, const Heads& heads, DType dtype,
          Device device)
      : capacity(heads.window > 0 ? std::numeric_limits<int32_t>::max() : capacity),
        lengths_(size_t(B), 0),
        positions_(zeros({B}, DType::i32, device)),
        counted_(lengths_) {
    for (int64_t i = 0; i < n_layer; ++i)
      layers.push_back(
          backend(device)->kv_cache.make_layer(B, heads.window > 0 ? 0 : capacity, heads, dtype));
  }

  std::vector<KvLayer> layers;
  int64_t capacity;     // tokens that fit
  int64_t longest = 0;  // positions() may come to hold lengths up to this without being asked again

  // The tokens that each sequence has seen so far, [B].
  const std::vector<int64_t>& lengths() const { return lengths_; }
  // The same on the device, i32: the positions of the tokens that come next. Always one Array.
  const Array& positions() const {
    if (counted_ != lengths_) {
      std::vector<int32_t> counts(lengths_.begin(), lengths_.end());
      backend(positions_)->memory.write(counts.data(), positions_);
      counted_ = lengths_;
    }
    positions_.set_id_range({0, std::max(length(), longest) + 1});
    return positions_;
  }
  int64_t batch() const { return int64_t(lengths_.size()); }
  int64_t length() const { return *std::ranges::max_element(lengths_); }
  // The tokens that one pass of the model may add.
  int64_t most_new() const { return layers.empty() ? capacity : layers[0].most_new(); }
  // Error unless every sequence has room for that many more.
  void check_room(int64_t tokens) const {
    check(length() + tokens <= capacity,
          "cannot read {} tokens after {}: the KV cache holds {}; start it again from a shorter "
          "window",
          tokens, length(), capacity);
  }
  void set_length(int64_t row, int64_t length) {
    check(0 <= length && length <= capacity, "a KV cache for {} tokens cannot hold {}", capacity,
          length);
    lengths_.at(size_t(row)) = length;
  }
  void advance(int64_t tokens) {
    check_room(tokens);
    for (int64_t& length : lengths_) length += tokens;
  }
  void clear() { std::ranges::fill(lengths_, 0); }

  // A view of sequences [begin, end): it shares their keys and values; its lengths are its own.
  KvCache rows(int64_t begin, int64_t end) const {
    KvCache view(end - begin, capacity, positions_.device());
    for (const KvLayer& layer : layers) view.layers.push_back(layer.rows(begin, end));
    view.lengths_.assign(lengths_.begin() + begin, lengths_.begin() + end);
    return view;
  }
  // Sequence `from_row` of a cache of the same model becomes sequence `row` of this one.
  void copy_row(const KvCache& from, int64_t from_row, int64_t row) {
    int64_t length = from.lengths_.at(size_t(from_row));
    for (size_t i = 0; i < layers.size(); ++i)
      backend(layers[i].k)->kv_cache.copy(from.layers.at(i), from_row, layers[i], row, length);
    set_length(row, length);
  }
  size_t bytes() const {
    size_t total = 0;
    for (const KvLayer& layer : layers) total += layer.bytes();
    return total;
  }

 private:
  KvCache(int64_t B, int64_t capacity, Device device)
      : capacity(capacity), lengths_(size_t(B), 0), positions_({B}, DType::i32, device) {}

  std::vector<int64_t> lengths_;
  mutable Array positions_;               // written behind the queued work that reads it
  mutable std::vector<int64_t> counted_;  // what it holds; empty: nothing yet
};

}  // namespace folio

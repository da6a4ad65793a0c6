#pragma once
#include <algorithm>
#include <cstdint>

namespace folio {

// The heads of an attention layer, and how its rows qkv [B, T, columns()] are laid out: n_head
// queries, then n_kv_head keys, then as many values, each head `width` columns. Query head h reads
// key and value head h / shared() (Ainslie et al., "GQA", 2023). With a window a position sees the
// last `window` positions, itself included; without (0) all before it and itself.
struct Heads {
  int64_t n_head = 0, n_kv_head = 0, width = 0;
  int64_t window = 0;

  // As many keys and values as queries, over C channels.
  static Heads alike(int64_t C, int64_t n_head) { return {n_head, n_head, C / n_head}; }

  int64_t columns() const { return (n_head + 2 * n_kv_head) * width; }
  int64_t channels() const { return n_head * width; }  // of the queries, and of the result
  int64_t kv_channels() const { return n_kv_head * width; }
  int64_t shared() const { return n_head / n_kv_head; }  // query heads for one of keys
  // The first position that the query at `position` sees.
  int64_t first_seen(int64_t position) const {
    return window > 0 ? std::max<int64_t>(0, position - window + 1) : 0;
  }
  bool operator==(const Heads&) const = default;
};

}  // namespace folio

#include "data/tokenizer/byte_pairs.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

namespace folio {
namespace {

constexpr size_t short_piece = 48;  // bytes; up to here looking at every pair again is fastest

uint64_t hash(int32_t left, int32_t right) {
  return (uint64_t(uint32_t(left)) << 32 | uint32_t(right)) * 0x9e3779b97f4a7c15;
}

}  // namespace

BytePairs::BytePairs(const std::array<int32_t, 256>& bytes, std::span<const MergeRule> rules)
    : bytes_(bytes), byte_merges_(256 * 256, none) {
  size_t size = std::bit_ceil(2 * rules.size() + 2);
  shift_ = 64 - std::countr_zero(size);
  slots_.assign(size, {-1, -1, none});
  for (size_t rank = 0; rank < rules.size(); ++rank) {
    auto [left, right, merged] = rules[rank];
    size_t at = hash(left, right) >> shift_;
    while (slots_[at].left >= 0) at = (at + 1) & (size - 1);
    slots_[at] = {left, right, {int32_t(rank), merged}};
  }
  for (size_t left = 0; left < 256; ++left)
    for (size_t right = 0; right < 256; ++right)
      byte_merges_[256 * left + right] = find(bytes[left], bytes[right]);
}

BytePairs::Merge BytePairs::find(int32_t left, int32_t right) const {
  for (size_t at = hash(left, right) >> shift_;; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.left == left && slot.right == right) return slot.merge;
    if (slot.left < 0) return none;
  }
}

size_t BytePairs::encode(std::string_view piece, int32_t* ids) const {
  return piece.size() <= short_piece ? encode_short(piece, ids) : encode_long(piece, ids);
}

size_t BytePairs::encode_short(std::string_view piece, int32_t* ids) const {
  Merge merges[short_piece];  // [i]: of ids[i] and ids[i + 1]
  auto byte = [&](size_t i) { return size_t(static_cast<unsigned char>(piece[i])); };
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) {
    ids[i] = bytes_[byte(i)];
    if (i + 1 < count) merges[i] = byte_merges_[256 * byte(i) + byte(i + 1)];
  }
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (merges[i].rank < merges[best].rank) best = i;
    if (merges[best].merged < 0) break;
    ids[best] = merges[best].merged;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      merges[i - 1] = merges[i];
    }
    if (best > 0) merges[best - 1] = find(ids[best - 1], ids[best]);
    if (best + 1 < count) merges[best] = find(ids[best], ids[best + 1]);
  }
  return count;
}

// Places of possible merges wait under their rule's rank. A rule nearly always makes work for later
// rules alone, so the places under one are merged in one sweep.
size_t BytePairs::encode_long(std::string_view piece, int32_t* ids) const {
  struct Node {
    int32_t id;  // -1: merged into the one before
    size_t before, after;
  };
  size_t end = piece.size();
  std::vector<Node> nodes(end);
  std::map<int32_t, std::vector<size_t>> waiting;
  for (size_t i = 0; i < end; ++i)
    nodes[i] = {bytes_[static_cast<unsigned char>(piece[i])], i - 1, i + 1};
  auto merge_at = [&](size_t i) {
    size_t after = nodes[i].after;
    return nodes[i].id < 0 || after >= end ? none : find(nodes[i].id, nodes[after].id);
  };
  auto wait = [&](size_t i) {
    Merge merge = merge_at(i);
    if (merge.merged >= 0) waiting[merge.rank].push_back(i);
    return merge.rank;
  };
  for (size_t i = 0; i < end; ++i) wait(i);
  while (!waiting.empty()) {
    auto [rank, places] = std::move(*waiting.begin());
    waiting.erase(waiting.begin());
    std::ranges::sort(places);
    for (size_t n = 0; n < places.size(); ++n) {
      Node& node = nodes[places[n]];
      Merge merge = merge_at(places[n]);
      if (merge.rank != rank) continue;  // a neighbour has changed
      node.id = merge.merged;
      nodes[node.after].id = -1;
      node.after = nodes[node.after].after;
      if (node.after < end) nodes[node.after].before = places[n];
      int32_t soonest = wait(places[n]);
      if (places[n] > 0) soonest = std::min(soonest, wait(node.before));
      if (soonest >= rank) continue;
      auto& rest = waiting[rank];
      rest.insert(rest.end(), places.begin() + ptrdiff_t(n) + 1, places.end());
      break;
    }
  }
  size_t count = 0;
  for (size_t i = 0; i < end; i = nodes[i].after) ids[count++] = nodes[i].id;
  return count;
}

}  // namespace folio

#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace folio {

// Two neighbouring tokens become one.
struct MergeRule {
  int32_t left, right, merged;
};

// Byte-pair encoding of one pretoken: of all neighbours that a rule merges, those of the earliest
// rule first, the leftmost first among them, until no rule applies.
class BytePairs {
 public:
  // `bytes` are the ids of the 256 single bytes; negative for one that no piece has.
  BytePairs(const std::array<int32_t, 256>& bytes, std::span<const MergeRule> rules);

  // Writes the ids of `piece` to `ids`, which has room for piece.size(); returns their number.
  // Takes time in proportion to piece.size() and its logarithm.
  size_t encode(std::string_view piece, int32_t* ids) const;

 private:
  struct Merge {
    int32_t rank, merged;  // rank: the rule's place
  };
  struct Slot {
    int32_t left, right;
    Merge merge;
  };
  static constexpr Merge none{INT32_MAX, -1};

  Merge find(int32_t left, int32_t right) const;
  size_t encode_short(std::string_view piece, int32_t* ids) const;
  size_t encode_long(std::string_view piece, int32_t* ids) const;

  std::array<int32_t, 256> bytes_;
  std::vector<Merge> byte_merges_;  // [256 * left byte + right byte]
  std::vector<Slot> slots_;         // a hash table, a power of two of slots, probed linearly
  int shift_ = 0;
};

}  // namespace folio

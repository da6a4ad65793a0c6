#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer/training/pair_queue.h"
#include "data/tokenizer/training/pretoken_counts.h"

namespace folio {

// The distinct pretokens as rows of symbols, at first their bytes, which become longer as pairs of
// them are merged. A symbol's place is that of its first byte; a merge takes the same time wherever
// it is.
class Symbols {
 public:
  // `tokens` gives each byte its id. Error if the pretokens have more bytes than places have
  // numbers.
  Symbols(const SharedPretokenCounts& counts, const std::vector<std::string>& tokens);

  size_t size() const { return cells_.size(); }
  // f(pair, count, places) for each pair of neighbours.
  void each_pair(const std::function<void(Pair, int64_t, Places)>& f) const;

  // The length of the token whose id is next.
  void add_token(size_t bytes) { length_.push_back(uint32_t(bytes)); }
  // Whether the two symbols of the pair are there, still.
  bool has(uint32_t place, Pair pair) const {
    return cells_[place].id == pair.left && cells_[place + length(pair.left)].id == pair.right;
  }
  void merge(uint32_t place, Pair pair, int32_t merged);

  // How often the pretoken occurs whose symbol is there.
  int64_t count(uint32_t place) const { return counts_[cells_[place].pretoken]; }
  // The symbols beside the one at `place`; negative where the pretoken ends.
  int32_t before(uint32_t place) const { return cells_[place - 1].id; }
  int32_t after(uint32_t place) const { return cells_[place + length(cells_[place].id)].id; }
  uint32_t start_before(uint32_t place) const { return place - length(before(place)); }

 private:
  // Of each byte. The first and the last of a symbol have its id, so that it is found from both
  // sides; no other first place of what it was made of has an id that it had as a symbol there.
  struct Cell {
    int32_t id;
    uint32_t pretoken;  // in counts_
  };
  uint32_t length(int32_t id) const { return length_[size_t(id)]; }

  std::vector<Cell> cells_;  // an end before, between and after the pretokens
  std::vector<int64_t> counts_;
  std::vector<uint32_t> length_;  // bytes, by id
};

}  // namespace folio

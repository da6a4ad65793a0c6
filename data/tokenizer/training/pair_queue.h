#pragma once
#include <cstdint>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

namespace folio {

using Places = std::vector<uint32_t>;  // ascending

struct Pair {
  int32_t left, right;
};

// Pairs of neighbours, of which the one that occurs most often is taken next. A pair is added once;
// from then on it can only become rarer.
class PairQueue {
 public:
  struct Best {
    Pair pair;
    Places places;  // some of them may have gone since
  };

  explicit PairQueue(int64_t min_frequency) : min_frequency_(min_frequency) {}

  // Pairs that occur less than min_frequency times are forgotten.
  void add(Pair pair, int64_t count, Places places);
  void subtract(Pair pair, int64_t count);
  // The pair of the greatest count, and of several the smallest, which leaves the queue; nothing if
  // there is none.
  std::optional<Best> take();

 private:
  struct Known {
    int64_t count;
    Places places;
  };
  // In the heap a pair has the count that it had when it came there; one whose count has fallen is
  // put back with what it has now, once it is on top.
  struct Candidate {
    int64_t count;
    uint64_t key;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };
  static uint64_t key_of(Pair pair) {
    return uint64_t(uint32_t(pair.left)) << 32 | uint32_t(pair.right);
  }

  int64_t min_frequency_;
  std::unordered_map<uint64_t, Known> known_;
  std::priority_queue<Candidate> heap_;
};

}  // namespace folio

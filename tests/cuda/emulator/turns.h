#pragma once
#include <bit>
#include <cstdint>
#include <vector>

#include "tests/cuda/emulator/emulator.h"

namespace folio::emulator {

// SplitMix64 (Steele, Lea, Flood 2014). The emulator is compiled without ThreadSanitizer, so that
// what it does itself is never reported. A generator of the standard library would be reported all
// the same: its functions are inline, a program has one copy of each, and that may be a test's.
class Random {
 public:
  using result_type = uint64_t;
  explicit Random(uint64_t seed) : state_(seed) {}
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return ~uint64_t{0}; }
  uint64_t operator()();

 private:
  uint64_t state_;
};

// Whose turn it is among the threads of a block that can go on, of which each warp has a mask.
class Turns {
 public:
  Turns(Schedule schedule, Random& random, size_t warps)
      : schedule_(schedule), random_(random), ready_(warps), warp_(backwards() ? warps - 1 : 0) {
    if (schedule == Schedule::random) change_ = random() % 3 * 128;
  }

  void add(size_t warp, uint32_t lanes) { ready_[warp] |= lanes; }
  // The number of the thread that goes on now, which is ready no more; -1 if none can.
  int next();

 private:
  bool backwards() const { return schedule_ == Schedule::reverse; }
  int take(uint32_t lane) {
    ready_[warp_] &= ~(1u << lane);
    turn_ &= ~(1u << lane);
    return int(warp_ * 32 + lane);
  }
  int next_at_random();

  Schedule schedule_;
  Random& random_;
  uint64_t change_ = 0;  // at random, one turn in so many goes to another warp; 0: any may
  std::vector<uint32_t> ready_;
  size_t warp_;        // whose turn it is
  uint32_t turn_ = 0;  // its lanes that were ready when the turn began and have not run in it
};

}  // namespace folio::emulator

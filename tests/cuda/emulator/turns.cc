#include "tests/cuda/emulator/turns.h"

namespace folio::emulator {

uint64_t Random::operator()() {
  uint64_t x = state_ += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

int Turns::next() {
  if (schedule_ == Schedule::random) return next_at_random();
  for (size_t passed = 0; turn_ == 0; ++passed) {
    if (schedule_ == Schedule::warp_greedy) turn_ = ready_[warp_];
    if (turn_ != 0) break;
    if (passed > ready_.size()) return -1;
    const size_t step = backwards() ? ready_.size() - 1 : 1;
    warp_ = (warp_ + step) % ready_.size();
    turn_ = ready_[warp_];
  }
  return take(uint32_t(backwards() ? 31 - std::countl_zero(turn_) : std::countr_zero(turn_)));
}

int Turns::next_at_random() {
  const uint64_t number = random_();
  if (change_ == 0 || number / 256 % change_ == 0) warp_ = number % ready_.size();
  for (size_t passed = 0; ready_[warp_] == 0; ++passed) {
    if (passed == ready_.size()) return -1;
    warp_ = (warp_ + 1) % ready_.size();
  }
  uint32_t lanes = ready_[warp_];
  for (uint64_t skip = (number >> 32) % uint64_t(std::popcount(lanes)); skip > 0; --skip)
    lanes &= lanes - 1;
  return take(uint32_t(std::countr_zero(lanes)));
}

}  // namespace folio::emulator

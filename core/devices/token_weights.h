#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "core/random.h"

// The numbers by which a token is drawn, for kernels too: a weight is an integer of a few integer
// operations, which no compiler contracts, so that devices agree on it, and on its sums in any
// order, bit for bit.
namespace folio {

// What the likeliest token weighs; any other, its share of that in probability.
inline constexpr uint64_t top_weight = uint64_t{1} << 40;

// A distance of 1 / temperature between logits, in units of 2^-26 octaves of probability, for
// token_distance. Below 1e-21 a temperature is as good as that.
inline float distance_scale(double temperature) {
  return float(std::min(0x1p27 * 1.4426950408889634 / temperature, 0x1p100));
}

// How far a token is below the likeliest, whose logit is `best`: that many times 2^-26 octaves,
// and 2^32 - 1 for all that are further. Halves, which are exact, do not overflow.
constexpr uint32_t token_distance(float logit, float best, float scale) {
  const float distance = (best * 0.5f - logit * 0.5f) * scale;
  return distance < 0x1p32f ? uint32_t(distance) : ~uint32_t{0};
}

// top_weight 2^-(distance / 2^26), rounded down, to 5e-9 of it; never more for a larger distance.
// 2^-f = 1 - f q(f) for the fraction f, where q is the polynomial of degree 5 with the error's
// zeros those of a Chebyshev polynomial, at 0 and 1 among them; in units of 2^-32.
constexpr uint64_t weight_at(uint32_t distance) {
  const uint32_t f = distance << 6;
  auto times_f = [f](uint32_t x) { return uint32_t(uint64_t(f) * x >> 32); };
  uint32_t q = 469656;
  q = 5479739 - times_f(q);
  q = 41148157 - times_f(q);
  q = 238334300 - times_f(q);
  q = 1031756616 - times_f(q);
  q = 2977044038 - times_f(q);
  return (top_weight - (uint64_t(f) * q >> 24)) >> (distance >> 26);
}

constexpr uint64_t token_weight(float logit, float best, float scale) {
  return weight_at(token_distance(logit, best, scale));
}

// x > 0, rounded up.
constexpr uint64_t ceiling(double x) {
  const auto below = uint64_t(x);
  return double(below) < x ? below + 1 : below;
}

// The least weight that min_p keeps.
constexpr uint64_t least_weight(double min_p) {
  return min_p > 0 ? std::min(ceiling(min_p * double(top_weight)), top_weight) : 0;
}

// What the tokens that top_p keeps weigh at least, of `sum`, which is more than 0.
constexpr uint64_t enough_weight(double top_p, uint64_t sum) {
  const double share = top_p * double(sum);
  return share > 0 ? std::min(ceiling(share), sum) : 1;
}

// u times `sum`, rounded down: the token that is drawn is the first at which the sum exceeds it.
constexpr uint64_t drawn_weight(RandomStream stream, uint64_t number, uint64_t sum) {
  const auto bits = stream.block(number);
  const uint32_t u[2] = {bits[1] & ~uint32_t{0x7ff}, bits[0]};  // 53 bits below the point
  const auto s0 = uint32_t(sum), s1 = uint32_t(sum >> 32);
  const uint64_t middle = uint64_t(u[1]) * s0 + (uint64_t(u[0]) * s0 >> 32);
  const uint64_t low = uint64_t(u[0]) * s1 + uint32_t(middle);
  return uint64_t(u[1]) * s1 + (middle >> 32) + (low >> 32);
}

// A seen token's logit; one that is not finite stays so, and is found.
constexpr float penalised_logit(float logit, float penalty) {
  constexpr float most = std::numeric_limits<float>::max();
  if (std::bit_cast<uint32_t>(logit) << 1 >= 0xff000000u) return logit;
  return std::clamp(logit > 0 ? logit / penalty : logit * penalty, -most, most);
}

}  // namespace folio

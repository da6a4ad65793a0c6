#pragma once
#include <vector>

#include "core/random.h"

namespace folio {

// The u of SamplingOps that a stream's block `number` gives.
inline double uniform_of(RandomStream stream, uint64_t number) {
  const auto bits = stream.block(number);
  return (double(bits[0]) * 0x1p21 + double(bits[1] >> 11)) * 0x1p-53;
}

// Numbers of n blocks of `stream` whose u are spread evenly: one in each nth of [0, 1), in order.
inline std::vector<uint64_t> even_draws(RandomStream stream, size_t n) {
  constexpr uint64_t none = ~uint64_t{0};
  std::vector<uint64_t> numbers(n, none);
  size_t missing = n;
  for (uint64_t number = 0; missing > 0; ++number) {
    uint64_t& of_nth = numbers[size_t(uniform_of(stream, number) * double(n))];
    if (of_nth == none) of_nth = number, --missing;
  }
  return numbers;
}

}  // namespace folio

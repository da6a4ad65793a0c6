#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

// Inputs that C++ and Python (values.py) make alike, bit for bit: what parity.json and ops.json
// describe instead of holding.
namespace folio::reference {

// Word i of a seed: the upper 24 bits of the splitmix64 mix of seed * 2^32 + i + 1.
inline uint64_t word(uint64_t seed, uint64_t i) {
  uint64_t z = ((seed << 32) + i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) >> 40;
}

// n numbers in [offset - scale, offset + scale), worked out in f64 and then rounded to T.
template <class T>
std::vector<T> values(uint64_t seed, size_t n, double scale = 1, double offset = 0) {
  std::vector<T> result(n);
  for (size_t i = 0; i < n; ++i)
    result[i] = T(offset + scale * (double(word(seed, i)) / 8388608.0 - 1.0));
  return result;
}

// n token ids in [0, vocab).
inline std::vector<int32_t> tokens(uint64_t seed, size_t n, uint64_t vocab) {
  std::vector<int32_t> result(n);
  for (size_t i = 0; i < n; ++i) result[i] = int32_t(word(seed, i) % vocab);
  return result;
}

}  // namespace folio::reference

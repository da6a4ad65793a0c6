#include <algorithm>
#include <atomic>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/packed_blocks.h"
#include "core/parallel.h"

namespace folio {
namespace {

// A number is not finite if every bit of its exponent is set. Bits, so that no -ffast-math can
// decide it, and in lanes of a fixed number, of which compilers make vectors.
template <class Bits>
bool finite(const void* numbers, int64_t n, Bits exponent) {
  constexpr int lanes = 64 / sizeof(Bits);
  const auto* bits = static_cast<const Bits*>(numbers);
  Bits found[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      found[lane] |= Bits((bits[i + lane] & exponent) == exponent);
  for (; i < n; ++i) found[0] |= Bits((bits[i] & exponent) == exponent);
  return std::ranges::count(found, Bits(0)) == lanes;
}

template <class Bits>
bool finite_in_parallel(const Array& x, Bits exponent) {
  std::atomic<bool> all = true;
  const auto* bits = static_cast<const Bits*>(x.address());
  parallel_blocks(x.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    if (!finite(bits + begin, end - begin, exponent)) all = false;
  });
  return all;
}

}  // namespace

bool CpuBackend::all_finite(const Array& x) {
  switch (x.dtype()) {
    case DType::f64:
      return finite_in_parallel<uint64_t>(x, 0x7ff0000000000000);
    case DType::f32:
      return finite_in_parallel<uint32_t>(x, 0x7f800000);
    case DType::bf16:
      return finite_in_parallel<uint16_t>(x, 0x7f80);
    default:
      return true;  // integers
  }
}

bool CpuBackend::all_finite(const PackedWeight& w) {
  if (w.format != WeightFormat::int8 && w.format != WeightFormat::int4) return all_finite(w.data);
  std::atomic<bool> all = true;
  const auto* records = static_cast<const char*>(w.data.address());
  int64_t weights = weight_bytes(w.format), bytes = record_bytes(w.format);
  parallel_blocks(int64_t(w.data.bytes()) / bytes, 1 << 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (!finite<uint16_t>(records + i * bytes + weights, block_size, 0x7f80)) all = false;
  });
  return all;
}

}  // namespace folio

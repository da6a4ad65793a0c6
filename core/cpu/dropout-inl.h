// residual + dropout(x), for the kernels that draw a mask. Included once per SIMD target, as
// simd-inl.h is.
#if defined(FOLIO_CORE_CPU_DROPOUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_DROPOUT_INL_H_
#undef FOLIO_CORE_CPU_DROPOUT_INL_H_
#else
#define FOLIO_CORE_CPU_DROPOUT_INL_H_
#endif

#include "core/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

inline void factors_of(const Dropout& dropout, int64_t first, int64_t n, float* out) {
  dropout_factors(dropout, uint64_t(first), size_t(n), float(dropout.scale()), out);
}
inline void factors_of(const Dropout& dropout, int64_t first, int64_t n, double* out) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = dropout.keeps(uint64_t(first + i)) ? dropout.scale() : 0.0;
}

// y[i] = residual[i] + dropout(x)[i] for i in [begin, end); `residual` may be null.
template <class X, class Y>
HWY_INLINE void add_dropout_range(const Y* residual, const X* x, const Dropout& dropout,
                                  int64_t begin, int64_t end, Y* y) {
  constexpr int64_t chunk = 1 << 10;
  Tag<Y> d;
  HWY_ALIGN Compute<Y> factors[chunk];
  const bool drops = dropout.enabled();
  for (int64_t first = begin; first < end; first += chunk) {
    const int64_t count = std::min(chunk, end - first);
    if (drops) factors_of(dropout, first, count, factors);
    for_vectors(d, 0, count, [&](int64_t i, auto n) HWY_ATTR {
      auto kept = load(d, x + first + i, n);
      if (drops) kept = kept * load(d, factors + i, n);
      store(residual ? load(d, residual + first + i, n) + kept : kept, y + first + i, n);
    });
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // FOLIO_CORE_CPU_DROPOUT_INL_H_

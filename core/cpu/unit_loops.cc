#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/unit_loops.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include <hwy/highway.h>

#include "core/cpu/unit_loops.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

const char* multiply_adds_name() {
  if (HWY_TARGET == HWY_AVX3) return "AVX-512 multiply-adds";
  if (HWY_TARGET == HWY_AVX2) return "AVX2 multiply-adds";
  if (HWY_TARGET == HWY_NEON) return "NEON multiply-adds";
  return "multiply-adds of single numbers";
}

// `steps` of 12 independent multiply-adds, more than latency times units anywhere. The chains start
// apart, or the compiler would run only one of them.
double multiply_adds(int64_t steps) {
  const hn::ScalableTag<float> d;
  const auto half = hn::Set(d, 0.5f), one = hn::Set(d, 1.0f);
  hn::Vec<decltype(d)> sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = hn::Set(d, float(j));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = hn::MulAdd(sum[j], half, one);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = hn::Add(sum[0], sum[j]);
  volatile float keep = hn::GetLane(sum[0]);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * double(hn::Lanes(d));
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#if HWY_ARCH_X86_64
#include <immintrin.h>
#endif

namespace folio {
namespace {

HWY_EXPORT(multiply_adds);
HWY_EXPORT(multiply_adds_name);

double f32_multiply_adds(int64_t steps) { return HWY_DYNAMIC_DISPATCH(multiply_adds)(steps); }

#if HWY_ARCH_X86_64
// As multiply_adds, of the instruction that sums two bf16 products into each f32 lane.
__attribute__((target("avx512f,avx512bf16"))) double bf16_dots(int64_t steps) {
  const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f));
  __m512 sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = _mm512_set1_ps(float(j));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = _mm512_dpbf16_ps(sum[j], x, x);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = _mm512_add_ps(sum[0], sum[j]);
  volatile float keep = _mm512_cvtss_f32(sum[0]);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 32;
}

// As bf16_dots, of the instruction that sums four 8-bit products into each 32-bit lane.
__attribute__((target("avx512f,avx512vnni"))) double int8_dots(int64_t steps) {
  const __m512i x = _mm512_set1_epi8(1);
  __m512i sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = _mm512_set1_epi32(j);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = _mm512_dpbusd_epi32(sum[j], x, x);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = _mm512_add_epi32(sum[0], sum[j]);
  volatile int keep = _mm512_cvtsi512_si32(sum[0]);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 64;
}
#endif

}  // namespace

std::vector<UnitLoop> f32_loops() {
  return {{HWY_DYNAMIC_DISPATCH(multiply_adds_name)(), f32_multiply_adds}};
}

std::vector<UnitLoop> bf16_loops() {
  std::vector<UnitLoop> loops;
#if HWY_ARCH_X86_64
  if (__builtin_cpu_supports("avx512bf16"))
    loops.push_back({"AVX512-BF16 dot products", bf16_dots});
#endif
  return loops;
}

std::vector<UnitLoop> int8_loops() {
  std::vector<UnitLoop> loops;
#if HWY_ARCH_X86_64
  if (__builtin_cpu_supports("avx512vnni"))
    loops.push_back({"AVX512-VNNI dot products", int8_dots});
#endif
  return loops;
}

}  // namespace folio
#endif

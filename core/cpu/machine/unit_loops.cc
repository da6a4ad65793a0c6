#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/machine/unit_loops.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include <hwy/highway.h>

#include "core/cpu/machine/capability.h"
#include "core/cpu/machine/unit_loops.h"

#include "core/cpu/tiles/amx.h"

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
#elif HWY_ARCH_ARM_A64
#include <arm_neon.h>
#include <sys/auxv.h>
#endif
#include <array>

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

// The same in vectors of 8 lanes.
__attribute__((target("avx2,avxvnni"))) double int8_dots_of_8_lanes(int64_t steps) {
  const __m256i x = _mm256_set1_epi8(1);
  __m256i sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = _mm256_set1_epi32(j);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = _mm256_dpbusd_avx_epi32(sum[j], x, x);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = _mm256_add_epi32(sum[0], sum[j]);
  volatile int keep = _mm256_cvtsi256_si32(sum[0]);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 32;
}

// Bytes widened to 16 bits: sums of two products. Each takes part in its next product, or the
// compiler would multiply once.
__attribute__((target("avx2"))) double int16_pairs(int64_t steps) {
  const __m256i x = _mm256_set1_epi16(1);
  __m256i sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = _mm256_set1_epi32(j);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(sum[j], x));
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = _mm256_add_epi32(sum[0], sum[j]);
  volatile int keep = _mm256_cvtsi256_si32(sum[0]);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 16;
}

#define FOLIO_TILES __attribute__((target("amx-tile,amx-bf16,amx-int8")))

// Tiles 0 to 3 of sums, 4 to 7 of numbers that are not 0.
FOLIO_TILES void load_tiles() {
  alignas(64) static const auto ones = [] {
    std::array<uint32_t, 256> pairs;
    pairs.fill(0x3f803f80);
    return pairs;
  }();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, ones.data(), 64);
  _tile_loadd(5, ones.data(), 64);
  _tile_loadd(6, ones.data(), 64);
  _tile_loadd(7, ones.data(), 64);
}

// Products of whole tiles of 16 x 64 bytes by 64 bytes x 16.
FOLIO_TILES double bf16_tiles(int64_t steps) {
  const TileSession session(*amx_tiles());
  load_tiles();
  for (int64_t i = 0; i < steps; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return double(steps) * 4 * 2 * 16 * 16 * 32;
}

FOLIO_TILES double int8_tiles(int64_t steps) {
  const TileSession session(*amx_tiles());
  load_tiles();
  for (int64_t i = 0; i < steps; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  return double(steps) * 4 * 2 * 16 * 16 * 64;
}
#elif HWY_ARCH_ARM_A64
// As multiply_adds, of the instruction that multiplies 2 x 4 by 4 x 2 numbers.
__attribute__((target("arch=armv8.2-a+bf16"))) double bf16_products(int64_t steps) {
  // 0.504: GCC 12 would make 0.5 by an instruction of f16, which it then refuses to assemble
  const bfloat16x8_t x = vreinterpretq_bf16_u16(vdupq_n_u16(0x3f01));
  float32x4_t sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = vdupq_n_f32(float(j));
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = vbfmmlaq_f32(sum[j], x, x);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = vaddq_f32(sum[0], sum[j]);
  volatile float keep = vgetq_lane_f32(sum[0], 0);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 16;
}

// Likewise of 2 x 8 by 8 x 2.
__attribute__((target("arch=armv8.2-a+i8mm"))) double int8_products(int64_t steps) {
  const int8x16_t x = vdupq_n_s8(1);
  int32x4_t sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = vdupq_n_s32(j);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = vmmlaq_s32(sum[j], x, x);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = vaddq_s32(sum[0], sum[j]);
  volatile int keep = vgetq_lane_s32(sum[0], 0);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 32;
}

// As int8_products, of the instruction that sums four products into each lane.
__attribute__((target("arch=armv8.2-a+dotprod"))) double int8_dots(int64_t steps) {
  const int8x16_t x = vdupq_n_s8(1);
  int32x4_t sum[12];
#pragma GCC unroll 12
  for (int j = 0; j < 12; ++j) sum[j] = vdupq_n_s32(j);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = vdotq_s32(sum[j], x, x);
  }
#pragma GCC unroll 12
  for (int j = 1; j < 12; ++j) sum[0] = vaddq_s32(sum[0], sum[j]);
  volatile int keep = vgetq_lane_s32(sum[0], 0);
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 16;
}
#endif

}  // namespace

std::vector<UnitLoop> f32_loops() {
  return {{HWY_DYNAMIC_DISPATCH(multiply_adds_name)(), f32_multiply_adds}};
}

std::vector<UnitLoop> bf16_loops() {
  std::vector<UnitLoop> loops;
#if HWY_ARCH_X86_64
  if (may_use_avx512_bf16()) loops.push_back({"AVX512-BF16 dot products", bf16_dots});
  if (amx_tiles()) loops.push_back({"AMX tile products", bf16_tiles});
#elif HWY_ARCH_ARM_A64
  if (getauxval(AT_HWCAP2) & HWCAP2_BF16) loops.push_back({"BFMMLA products", bf16_products});
#endif
  return loops;
}

std::vector<UnitLoop> int8_loops() {
  std::vector<UnitLoop> loops;
#if HWY_ARCH_X86_64
  if (may_use_avx2()) loops.push_back({"AVX2 16-bit products", int16_pairs});
  if (may_use_avx_vnni()) loops.push_back({"AVX-VNNI dot products", int8_dots_of_8_lanes});
  if (may_use_avx512_vnni()) loops.push_back({"AVX512-VNNI dot products", int8_dots});
  if (amx_tiles()) loops.push_back({"AMX tile products", int8_tiles});
#elif HWY_ARCH_ARM_A64
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) loops.push_back({"SDOT dot products", int8_dots});
  if (getauxval(AT_HWCAP2) & HWCAP2_I8MM) loops.push_back({"SMMLA products", int8_products});
#endif
  return loops;
}

}  // namespace folio
#endif

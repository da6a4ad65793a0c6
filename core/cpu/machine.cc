#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/machine.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

int64_t chosen_target() { return HWY_TARGET; }

// Runs `steps` of 12 independent multiply-adds, more than latency times units anywhere, on one
// core; their number of floating-point operations. Named variables: GCC spills an array of this
// size to memory.
double multiply_adds(int64_t steps) {
  const hn::ScalableTag<float> d;
  const auto half = hn::Set(d, 0.5f), one = hn::Set(d, 1.0f);
  auto c0 = one, c1 = one, c2 = one, c3 = one, c4 = one, c5 = one;
  auto c6 = one, c7 = one, c8 = one, c9 = one, c10 = one, c11 = one;
  for (int64_t i = 0; i < steps; ++i) {
    c0 = hn::MulAdd(c0, half, one);
    c1 = hn::MulAdd(c1, half, one);
    c2 = hn::MulAdd(c2, half, one);
    c3 = hn::MulAdd(c3, half, one);
    c4 = hn::MulAdd(c4, half, one);
    c5 = hn::MulAdd(c5, half, one);
    c6 = hn::MulAdd(c6, half, one);
    c7 = hn::MulAdd(c7, half, one);
    c8 = hn::MulAdd(c8, half, one);
    c9 = hn::MulAdd(c9, half, one);
    c10 = hn::MulAdd(c10, half, one);
    c11 = hn::MulAdd(c11, half, one);
  }
  const auto a = hn::Add(hn::Add(hn::Add(c0, c1), hn::Add(c2, c3)), hn::Add(c4, c5));
  const auto b = hn::Add(hn::Add(hn::Add(c6, c7), hn::Add(c8, c9)), hn::Add(c10, c11));
  volatile float keep = hn::GetLane(hn::Add(a, b));
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * double(hn::Lanes(d));
}

// The sum of n floats, 8 vectors at a time: as fast as one core can read.
float sum_of(const float* x, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = int64_t(hn::Lanes(d));
  auto c0 = hn::Zero(d), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0;
  for (int64_t i = 0; i + 8 * lanes <= n; i += 8 * lanes) {
    c0 = hn::Add(c0, hn::LoadU(d, x + i));
    c1 = hn::Add(c1, hn::LoadU(d, x + i + lanes));
    c2 = hn::Add(c2, hn::LoadU(d, x + i + 2 * lanes));
    c3 = hn::Add(c3, hn::LoadU(d, x + i + 3 * lanes));
    c4 = hn::Add(c4, hn::LoadU(d, x + i + 4 * lanes));
    c5 = hn::Add(c5, hn::LoadU(d, x + i + 5 * lanes));
    c6 = hn::Add(c6, hn::LoadU(d, x + i + 6 * lanes));
    c7 = hn::Add(c7, hn::LoadU(d, x + i + 7 * lanes));
  }
  return hn::GetLane(hn::Add(hn::Add(hn::Add(c0, c1), hn::Add(c2, c3)),
                             hn::Add(hn::Add(c4, c5), hn::Add(c6, c7))));
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#if HWY_ARCH_X86_64
#include <immintrin.h>
#endif
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/parallel.h"
#include "core/machine.h"

namespace folio {
namespace {

HWY_EXPORT(chosen_target);
HWY_EXPORT(multiply_adds);
HWY_EXPORT(sum_of);

// What `run` returns (operations, bytes) per second, the best of `repetitions`.
template <class F>
double best_rate(int repetitions, F&& run) {
  double best = 0;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double amount = run();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, amount / seconds.count());
  }
  return best;
}

// Runs kernel(steps) on every thread at once; the sum of what it returns.
template <class F>
double on_every_thread(int64_t steps, F&& kernel) {
  double total = 0;
#pragma omp parallel reduction(+ : total)
  total += kernel(steps);
  return total;
}

double f32_flops() {
  return best_rate(20, [] {
    return on_every_thread(200'000,
                           [](int64_t n) { return HWY_DYNAMIC_DISPATCH(multiply_adds)(n); });
  });
}

#if HWY_ARCH_X86_64
// As multiply_adds, of the instruction that sums two bf16 products into each f32 lane.
__attribute__((target("avx512f,avx512bf16"))) double dot_products(int64_t steps) {
  const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f));
  __m512 c0 = _mm512_set1_ps(1), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0;
  __m512 c6 = c0, c7 = c0, c8 = c0, c9 = c0, c10 = c0, c11 = c0;
  for (int64_t i = 0; i < steps; ++i) {
    c0 = _mm512_dpbf16_ps(c0, x, x);
    c1 = _mm512_dpbf16_ps(c1, x, x);
    c2 = _mm512_dpbf16_ps(c2, x, x);
    c3 = _mm512_dpbf16_ps(c3, x, x);
    c4 = _mm512_dpbf16_ps(c4, x, x);
    c5 = _mm512_dpbf16_ps(c5, x, x);
    c6 = _mm512_dpbf16_ps(c6, x, x);
    c7 = _mm512_dpbf16_ps(c7, x, x);
    c8 = _mm512_dpbf16_ps(c8, x, x);
    c9 = _mm512_dpbf16_ps(c9, x, x);
    c10 = _mm512_dpbf16_ps(c10, x, x);
    c11 = _mm512_dpbf16_ps(c11, x, x);
  }
  const __m512 a = _mm512_add_ps(_mm512_add_ps(c0 + c1, c2 + c3), c4 + c5);
  const __m512 b = _mm512_add_ps(_mm512_add_ps(c6 + c7, c8 + c9), c10 + c11);
  volatile float keep = _mm512_cvtss_f32(_mm512_add_ps(a, b));
  static_cast<void>(keep);
  return double(steps) * 12 * 2 * 32;
}
double bf16_dot_flops() {
  if (!__builtin_cpu_supports("avx512bf16")) return 0;
  return best_rate(10, [] { return on_every_thread(100'000, dot_products); });
}
#else
double bf16_dot_flops() { return 0; }
#endif

// A large product by the backend itself: what matrix units, which have no simple loop, give.
double bf16_matrix_flops() {
  constexpr int64_t n = 1024;
  const Array x = zeros({n, n}, DType::bf16), w = zeros({n, n}, DType::bf16);
  return best_rate(4, [&] {
    cpu_backend().linear(x, w, {});
    return 2.0 * n * n * n;
  });
}

double read_bandwidth() {
  constexpr int64_t block = 1 << 20;  // elements
  const double free_bytes = double(sysconf(_SC_AVPHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
  const double bytes = std::min(double(1 << 30), free_bytes / 4);
  const int64_t blocks = std::max<int64_t>(1, int64_t(bytes) / int64_t(sizeof(float)) / block);
  const std::unique_ptr<float[]> buffer(new float[size_t(blocks * block)]);
  parallel_for(blocks, [&](int64_t i) { std::fill_n(&buffer[size_t(i * block)], block, 1.0f); });
  return best_rate(4, [&] {
    parallel_for(blocks, [&](int64_t i) {
      volatile float keep = HWY_DYNAMIC_DISPATCH(sum_of)(&buffer[size_t(i * block)], block);
      static_cast<void>(keep);
    });
    return double(blocks * block) * sizeof(float);
  });
}

size_t max_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return size_t(usage.ru_maxrss) * 1024;
}

size_t rss_before_measuring = 0;

}  // namespace

MachinePeak measure_peak() {
  rss_before_measuring = peak_rss_bytes();
  MachinePeak peak;
  peak.f32_flops = f32_flops();
  peak.bf16_flops = std::max({peak.f32_flops, bf16_dot_flops(), bf16_matrix_flops()});
  peak.read_bandwidth = read_bandwidth();
  // Linux then counts the process's peak afresh, without the buffer that was read.
  std::ofstream("/proc/self/clear_refs") << 5;
  return peak;
}

std::string cpu_model() {
  utsname system{};
  uname(&system);
  std::string model = system.machine;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (!line.starts_with("model name")) continue;
    model = line.substr(std::min(line.size(), line.find(':') + 2));
    break;
  }
  return fmt::format("{}, {} threads, {}", model, cpu_backend().threads(),
                     hwy::TargetName(HWY_DYNAMIC_DISPATCH(chosen_target)()));
}

size_t peak_rss_bytes() { return std::max(rss_before_measuring, max_rss_bytes()); }

}  // namespace folio
#endif

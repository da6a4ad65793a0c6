#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/machine/machine.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

int64_t chosen_target() { return HWY_TARGET; }

// The sum of n floats, 8 vectors at a time: as fast as one core can read.
float sum_of(const float* x, int64_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = int64_t(hn::Lanes(d));
  hn::Vec<decltype(d)> sum[8];
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) sum[j] = hn::Zero(d);
  for (; n >= 8 * lanes; n -= 8 * lanes, x += 8 * lanes) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = hn::Add(sum[j], hn::LoadU(d, x + j * lanes));
  }
#pragma GCC unroll 8
  for (int j = 1; j < 8; ++j) sum[0] = hn::Add(sum[0], sum[j]);
  return hn::GetLane(sum[0]);
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <sys/mman.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/machine/unit_loops.h"
#include "core/parallel.h"
#include "core/process/memory_limit.h"

namespace folio {
namespace {

HWY_EXPORT(chosen_target);
HWY_EXPORT(sum_of);

// What `run` returns (operations or bytes) per second, the best of `repetitions`.
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

// All threads run kernel() side by side; the sum of the best rate of each, which a thread that
// another program holds up for a moment does not spoil.
template <class F>
double rate_of_all_threads(int repetitions, F&& kernel) {
  std::vector<double> rates(static_cast<size_t>(parallel_threads()));
  std::vector<std::jthread> threads;
  for (double& rate : rates) {
    auto measure = [&rate, repetitions, kernel] { rate = best_rate(repetitions, kernel); };
    try {
      threads.emplace_back(measure);
    } catch (const std::system_error&) {  // no more threads to be had: one after the other
      measure();
    }
  }
  threads.clear();
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

// The fastest of them, each measured for a moment.
UnitPeak fastest(std::span<const UnitLoop> loops) {
  UnitPeak best;
  for (const UnitLoop& loop : loops) {
    const double rate = rate_of_all_threads(50, [&] { return loop.run(200'000); });
    if (rate > best.flops) best = {rate, loop.unit};
  }
  return best;
}

class CpuMachine final : public Machine {
 public:
  MachinePeak measure_peak() override {
    MachinePeak peak;
    peak.f32 = peak.bf16 = peak.int8 = fastest(f32_loops());
    if (const UnitPeak own = fastest(bf16_loops()); own.flops > peak.bf16.flops) peak.bf16 = own;
    if (const UnitPeak own = fastest(int8_loops()); own.flops > peak.int8.flops) peak.int8 = own;
    return peak;
  }

  // In a buffer of up to 1 GiB, or a quarter of what is there.
  double measure_read_bandwidth() override {
    constexpr int64_t block = 1 << 20;  // elements
    constexpr int64_t fewest = 16;      // blocks, which no cache holds with certainty
    const uint64_t free_bytes = std::min(free_memory(), free_address_space());
    const uint64_t bytes = std::min<uint64_t>(1 << 30, free_bytes / 4);
    const auto blocks = int64_t(bytes / sizeof(float) / uint64_t(block));
    if (blocks < fewest) return 0;
    const auto size = size_t(blocks * block) * sizeof(float);
    // In huge pages, whose addresses cost nothing to look up: in small ones it is half as fast at
    // times, less than decoding reads.
    constexpr auto page = std::align_val_t(2 << 20);
    const auto release = [](float* p) { ::operator delete(p, page); };
    const std::unique_ptr<float[], decltype(release)> buffer(
        static_cast<float*>(::operator new(size, page, std::nothrow)));
    if (!buffer) return 0;
    madvise(buffer.get(), size, MADV_HUGEPAGE);
    parallel_for(blocks, [&](int64_t i) { std::fill_n(&buffer[size_t(i * block)], block, 1.0f); });
    return best_rate(10, [&] {
      parallel_for(blocks, [&](int64_t i) {
        volatile float keep = HWY_DYNAMIC_DISPATCH(sum_of)(&buffer[size_t(i * block)], block);
        static_cast<void>(keep);
      });
      return double(size);
    });
  }

  void mark() override { marks_.push_back(std::chrono::steady_clock::now()); }

  std::vector<double> marks() override {
    std::vector<double> seconds;
    for (const auto& at : marks_)
      seconds.push_back(std::chrono::duration<double>(at - marks_.front()).count());
    marks_.clear();
    return seconds;
  }

  std::string name() const override {
    utsname system{};
    uname(&system);
    std::string model = system.machine;
    std::ifstream cpuinfo("/proc/cpuinfo");
    for (std::string line; std::getline(cpuinfo, line);) {
      if (!line.starts_with("model name")) continue;
      model = line.substr(std::min(line.size(), line.find(':') + 2));
      break;
    }
    return fmt::format("{}, {} threads, {}", model, parallel_threads(),
                       hwy::TargetName(HWY_DYNAMIC_DISPATCH(chosen_target)()));
  }

 private:
  std::vector<std::chrono::steady_clock::time_point> marks_;
};

}  // namespace

Machine& cpu_machine() {
  static auto& operations = *new CpuMachine;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif

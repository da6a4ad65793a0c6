#pragma once
#include <cstddef>
#include <string>

namespace folio {

// What the machine can do, measured now with the backend's threads: the denominators of every
// share that folio reports. Takes about half a second.
struct MachinePeak {
  double f32_flops = 0;   // multiply-adds, counted as two, per second in registers
  double bf16_flops = 0;  // likewise through the fastest bf16 path the CPU has, f32 units included
  double int8_flops = 0;  // likewise of exact sums of 8-bit products
  double read_bandwidth = 0;  // bytes per second, from memory larger than the caches
};
MachinePeak measure_peak();

std::string cpu_model();  // "AMD EPYC 9R14, 2 threads, AVX3_ZEN4"
size_t peak_rss_bytes();  // of this process so far, or since the last
void reset_peak_rss();

}  // namespace folio

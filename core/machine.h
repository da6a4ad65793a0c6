#pragma once
#include <cstddef>
#include <string>

namespace folio {

// What the machine can do, measured now with the backend's threads: the denominators of every
// share that folio reports.
struct MachinePeak {
  double f32_flops = 0;   // multiply-adds, counted as two, per second in registers
  double bf16_flops = 0;  // likewise through the fastest bf16 path the CPU has, f32 units included
  double int8_flops = 0;  // likewise of exact sums of 8-bit products
  double read_bandwidth = 0;  // bytes per second, from memory larger than the caches
};
// The multiply-adds alone: in registers, or where the CPU has matrix units in some MB. About 0.3 s.
MachinePeak measure_peak();
// In a buffer of up to 1 GiB, or a quarter of what is there; 0 if that is too little to tell.
double measure_read_bandwidth();

std::string cpu_model();  // "AMD EPYC 9R14, 2 threads, AVX3_ZEN4"
size_t peak_rss_bytes();  // the most memory that this process has held so far, as time(1) counts it
size_t rss_bytes();       // what it holds now

}  // namespace folio

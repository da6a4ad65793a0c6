#pragma once
#include <cstddef>

namespace folio {

// What a device can do, as its Backend measures it.
struct MachinePeak {
  double f32_flops = 0;       // multiply-adds, counted as two, per second in registers
  double bf16_flops = 0;      // likewise through the fastest bf16 path there is, f32 units included
  double int8_flops = 0;      // likewise of exact sums of 8-bit products
  double read_bandwidth = 0;  // bytes per second, from memory larger than the caches
};

size_t peak_rss_bytes();  // the most memory that this process has held so far, as time(1) counts it
size_t rss_bytes();       // what it holds now

}  // namespace folio

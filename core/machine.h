#pragma once
#include <cstddef>
#include <string>

#include "core/dtype.h"

namespace folio {

// What one kind of unit does on all threads at once, its operands in registers, by its own loop.
struct UnitPeak {
  double flops = 0;  // a second; a multiply-add is two
  std::string unit;  // "AVX-512 multiply-adds"
};

// What a device can do, as its Backend measures it.
struct MachinePeak {
  UnitPeak f32;
  UnitPeak bf16;              // of the fastest unit that multiplies bf16, which may be that of f32
  UnitPeak int8;              // likewise of those that sum 8-bit products exactly
  double read_bandwidth = 0;  // bytes per second, from memory larger than the caches

  const UnitPeak& of(DType dtype) const { return dtype == DType::bf16 ? bf16 : f32; }
};

size_t peak_rss_bytes();  // the most memory that this process has held so far, as time(1) counts it
size_t rss_bytes();       // what it holds now

}  // namespace folio

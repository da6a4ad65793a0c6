#pragma once
#include <string>
#include <vector>

#include "core/machine.h"

namespace folio {

// What a device is and what it can do: the denominators of the shares that the benches report.
class Machine {
 public:
  virtual ~Machine() = default;

  virtual std::string name() const = 0;  // "AMD EPYC 9R14, 2 threads, AVX3_ZEN4"
  // Of multiply-adds alone, measured now. About 0.3 s.
  virtual MachinePeak measure_peak() = 0;
  // Bytes a second, from memory larger than the caches, measured now; 0 if too little is free.
  virtual double measure_read_bandwidth() = 0;

  // Marks this place in the device's work. By one thread at a time, as marks().
  virtual void mark() = 0;
  // When the work was at each place that was marked since the last call, in seconds after the
  // first; waits until it is at the last.
  virtual std::vector<double> marks() = 0;
};

}  // namespace folio

#pragma once
#include <cstdint>
#include <vector>

namespace folio {

// A loop of one kind of instruction on the calling thread, its operands in registers: what that
// unit can do at most.
struct UnitLoop {
  const char* unit;
  double (*run)(int64_t steps);  // the operations done, a multiply-add counted as two
};

// Those of the instructions that this processor has.
std::vector<UnitLoop> f32_loops();
std::vector<UnitLoop> bf16_loops();  // sums in f32
std::vector<UnitLoop> int8_loops();  // sums in 32-bit integers

}  // namespace folio

#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "commands/bench/measure_sampling.h"
#include "core/machine.h"

namespace folio {

// One line of the table.
struct BenchRow {
  std::string weights;
  Workload workload;
  Timing timing;
};

// A table of rows with the shares of `peak` that each reaches.
void print_table(const std::vector<BenchRow>& rows, const MachinePeak& peak);
// Why `cached` is faster than `uncached`, the same workload without the cache, by as much as it is:
// the bytes and the multiply-adds of each, beside what the machine can do.
void explain_gain(const BenchRow& cached, const BenchRow& uncached, const MachinePeak& peak);
// On a device other than the CPU the cache shortens a step less than it lessens the work, since
// launches and waits stay: says what share of a step they are. Nothing where it was not measured.
void explain_waits(const BenchRow& cached, const BenchRow& uncached);
// What a token costs in each of the windows that the row's texts outgrow.
void print_windows(const BenchRow& row, int64_t block_size);

nlohmann::ordered_json to_json(const BenchRow& row, const MachinePeak& peak, int64_t block_size);

}  // namespace folio

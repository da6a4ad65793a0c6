#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string_view>

namespace folio {

// What the Linux control groups of this process, and those that hold them, leave it.
struct GroupLimits {
  uint64_t memory = std::numeric_limits<uint64_t>::max();  // bytes that it may still take
  double cpus = std::numeric_limits<double>::infinity();   // quota over period
};

// Reads versions 1 and 2, mounted where they usually are; what is not there limits nothing. The
// files lie below `root`, which tests make.
GroupLimits control_group_limits(const std::filesystem::path& root = "/");

// The threads that keep `cpus` busy, a fraction of one included; at most `processors`.
int threads_for(double cpus, int processors);

}  // namespace folio

#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/device.h"

namespace folio {

// Bytes of memory that this process may still touch: the least of what the machine has free (its
// file cache and swap counted) and what control groups leave. `root` is "/" but in tests.
uint64_t free_memory(const std::filesystem::path& root = "/");
// Bytes that it may still map, under `ulimit -v` and `ulimit -d`.
uint64_t free_address_space();

// Throws Error unless Arrays on `device` may still take `bytes`, a number that may be larger than
// any integer. `what`, which needs them, begins the message; `advice` ends it.
void check_memory(Device device, double bytes, const std::string& what, const std::string& advice);

}  // namespace folio

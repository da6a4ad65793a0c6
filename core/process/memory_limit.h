#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace folio {

// Bytes of memory that this process may still touch: the least of what the machine has free (its
// file cache and swap counted) and what control groups leave. `root` is "/" but in tests.
uint64_t free_memory(const std::filesystem::path& root = "/");
// Bytes that it may still map, under `ulimit -v` and `ulimit -d`.
uint64_t free_address_space();
// Bytes that Arrays on the CPU may still take: what is free, in the address space that is theirs.
uint64_t available_memory();

// Throws Error unless available_memory() is at least `bytes`, a number that may be larger than any
// integer. `what`, which needs them, begins the message; `advice` ends it.
void check_memory(double bytes, const std::string& what, const std::string& advice);

}  // namespace folio

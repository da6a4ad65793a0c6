#pragma once
#include <cstdint>
#include <filesystem>

namespace folio {

// The HDF5 user block, the first 512 bytes of a checkpoint, which HDF5 itself never looks at.
// Numbers are little-endian.
//    0  magic "\211folio\r\n"
//    8  format version, u32
//   12  size of this block, u32: 512
//   16  bytes that follow this block, u64
//   24  SHA-256 of the whole file but these 32 bytes
//   56  zeros
inline constexpr uint64_t seal_bytes = 512;
inline constexpr uint32_t checkpoint_version = 1;

// Fills in the block of the open file `fd`, whose payload is complete. Throws Error.
void write_seal(int fd, const std::filesystem::path& path);

// Throws Error, naming `path`, unless the open file `fd` is byte for byte what write_seal sealed
// and its version is one this build reads.
void check_seal(int fd, const std::filesystem::path& path);

}  // namespace folio

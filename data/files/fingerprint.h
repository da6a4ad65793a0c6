#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "data/files/sha256.h"

namespace folio {

// The parts [begin, end) of `size` bytes that stand for all of them, in ascending order: the whole
// of up to 16 MiB; of more the first and the last 4 KiB and 64 blocks of 4 KiB between them, evenly
// spaced. Whoever looks at them reads no more of a corpus of many GB than this.
void each_sample(int64_t size, const std::function<void(int64_t begin, int64_t end)>& f);

// Tells contents apart: SHA-256 of the size, as 8 bytes, little-endian, and the sampled parts. Two
// large contents of one size that differ only between the samples have the same.
Digest fingerprint(std::string_view bytes);

}  // namespace folio

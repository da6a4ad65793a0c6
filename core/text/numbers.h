#pragma once
#include <cstdint>
#include <string>

namespace folio {

// Numbers as people read them.
std::string with_commas(int64_t count);  // 1,003,854
std::string in_megabytes(double bytes);  // "1971.3 MB", "0.1 MB"

}  // namespace folio

#include "core/text/numbers.h"

#include <fmt/format.h>

namespace folio {

std::string with_commas(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto i = int64_t(digits.size()) - 3; i > (count < 0); i -= 3)
    digits.insert(size_t(i), 1, ',');
  return digits;
}

std::string in_megabytes(double bytes) { return fmt::format("{:.1f} MB", bytes / 1e6); }

}  // namespace folio

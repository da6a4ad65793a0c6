#include "commands/version.h"

#include <fmt/ranges.h>

#include "core/device.h"

namespace folio {

extern const char* const commit;  // packaging/commit.cmake

std::string version() { return FOLIO_VERSION; }

std::string release_date() { return FOLIO_RELEASED; }

std::string version_text() {
  return fmt::format("folio {}\ncommit {}, {}, devices: {}\n", version(), commit, FOLIO_COMPILER,
                     fmt::join(device_names(), ", "));
}

}  // namespace folio

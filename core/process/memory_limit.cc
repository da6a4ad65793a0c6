#include "core/process/memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "core/backend.h"
#include "core/process/control_groups.h"
#include "core/text/numbers.h"

namespace folio {
namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

// What a limit leaves beside `used` bytes.
uint64_t left_of(int resource, uint64_t used) {
  rlimit limit{};
  if (getrlimit(__rlimit_resource_t(resource), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return unlimited;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

}  // namespace

uint64_t free_memory(const std::filesystem::path& root) {
  std::ifstream in(root / "proc/meminfo");
  uint64_t machine = 0, kilobytes = 0;
  bool known = false;
  std::string name, unit;
  while (in >> name >> kilobytes && std::getline(in, unit)) {
    if (name != "MemAvailable:" && name != "SwapFree:") continue;
    known |= name == "MemAvailable:";
    machine += kilobytes * 1024;
  }
  return std::min(known ? machine : unlimited, control_group_limits(root).memory);
}

uint64_t free_address_space() {
  uint64_t pages = 0, ignored = 0, data = 0;
  std::ifstream in("/proc/self/statm");  // size resident shared text lib data dt
  in >> pages >> ignored >> ignored >> ignored >> ignored >> data;
  auto page = uint64_t(sysconf(_SC_PAGESIZE));
  return std::min(left_of(RLIMIT_AS, pages * page), left_of(RLIMIT_DATA, data * page));
}

void check_memory(Device device, double bytes, const std::string& what, const std::string& advice) {
  uint64_t available = backend(device)->memory.available();
  check(bytes <= double(available), "{} need at least {} of memory, but {} are left; {}", what,
        in_megabytes(bytes), in_megabytes(double(available)), advice);
}

}  // namespace folio

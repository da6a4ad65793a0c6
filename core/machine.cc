#include "core/machine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace folio {

size_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return size_t(usage.ru_maxrss) * 1024;
}

size_t rss_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t size = 0, resident = 0;  // pages
  in >> size >> resident;
  return resident * size_t(sysconf(_SC_PAGESIZE));
}

}  // namespace folio

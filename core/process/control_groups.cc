#include "core/process/control_groups.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace folio {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// A file's number; nothing for "max", "-1" and a file that is not there.
std::optional<double> number_in(const fs::path& file) {
  std::istringstream words(first_line(file));
  double value = -1;
  if (words >> value && value >= 0) return value;
  return {};
}

// The sum of the named rows of a file of "name number" rows.
double sum_of_rows(const fs::path& file, const std::vector<std::string>& names) {
  std::ifstream in(file);
  std::string name;
  double value = 0, sum = 0;
  while (in >> name >> value)
    if (std::ranges::find(names, name) != names.end()) sum += value;
  return sum;
}

// Cached files are given back when memory is short: they are not in the way.
void limit_memory(GroupLimits& limits, const fs::path& group, const char* limit, const char* usage,
                  const std::string& prefix) {
  std::optional<double> most = number_in(group / limit), used = number_in(group / usage);
  if (!most || !used) return;
  double cached =
      sum_of_rows(group / "memory.stat", {prefix + "inactive_file", prefix + "active_file"});
  double left = std::max(0.0, *most - std::max(0.0, *used - cached));
  if (left < 0x1p62) limits.memory = std::min(limits.memory, uint64_t(left));
}

void limit_cpus(GroupLimits& limits, std::optional<double> quota, std::optional<double> period) {
  if (quota && period && *quota > 0 && *period > 0)
    limits.cpus = std::min(limits.cpus, *quota / *period);
}

void apply_v2(GroupLimits& limits, const fs::path& group) {
  limit_memory(limits, group, "memory.max", "memory.current", "");
  std::istringstream words(first_line(group / "cpu.max"));  // "QUOTA PERIOD" or "max PERIOD"
  double quota = 0, period = 0;
  if (words >> quota >> period) limit_cpus(limits, quota, period);
}

void apply_v1_memory(GroupLimits& limits, const fs::path& group) {
  limit_memory(limits, group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_");
}

void apply_v1_cpu(GroupLimits& limits, const fs::path& group) {
  limit_cpus(limits, number_in(group / "cpu.cfs_quota_us"), number_in(group / "cpu.cfs_period_us"));
}

// apply(limits, folder) for the group `path` below `mount` and every one above it. In a container
// the path may be the host's, of which only the mount itself is to be seen.
template <class Apply>
void up_from(GroupLimits& limits, const fs::path& mount, const std::string& path, Apply&& apply) {
  for (fs::path group = fs::path(path).relative_path();; group = group.parent_path()) {
    apply(limits, mount / group);
    if (group.empty()) return;
  }
}

bool names(const std::string& controllers, std::string_view name) {
  std::istringstream list(controllers);
  for (std::string one; std::getline(list, one, ',');)
    if (one == name) return true;
  return false;
}

}  // namespace

GroupLimits control_group_limits(const fs::path& root) {
  GroupLimits limits;
  fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {  // "HIERARCHY:CONTROLLERS:PATH"
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      up_from(limits, mounts, path, apply_v2);
      up_from(limits, mounts / "unified", path, apply_v2);
    }
    if (names(controllers, "memory")) up_from(limits, mounts / "memory", path, apply_v1_memory);
    if (!names(controllers, "cpu")) continue;
    for (const std::string& mount : {std::string("cpu"), controllers})
      up_from(limits, mounts / mount, path, apply_v1_cpu);
  }
  return limits;
}

int threads_for(double cpus, int processors) {
  return int(std::clamp(std::ceil(cpus), 1.0, double(std::max(processors, 1))));
}

}  // namespace folio

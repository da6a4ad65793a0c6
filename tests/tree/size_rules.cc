#include "size_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "include_rules.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr int64_t most_lines = 400;
constexpr size_t most_units = 15;
// The contract has a header for each group of operations, a device as many sources and their
// helpers.
const std::map<std::string, size_t> larger_folders = {
    {"core", 16}, {"core/backend", 20}, {"core/cpu", 40}, {"core/cuda", 40}};

int64_t lines_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
}

}  // namespace

std::vector<std::string> size_violations(const fs::path& root) {
  std::vector<std::string> violations;
  std::map<std::string, std::set<std::string>> units;  // of each folder
  std::vector<fs::path> sources = program_sources(root), tests = sources_below(root, "tests");
  sources.insert(sources.end(), tests.begin(), tests.end());
  for (const fs::path& file : sources) {
    units[file.parent_path().generic_string()].insert(file.stem());
    int64_t lines = lines_of(root / file);
    if (lines > most_lines)
      violations.push_back(
          fmt::format("{}: {} lines, at most {}", file.generic_string(), lines, most_lines));
  }
  for (const auto& [folder, names] : units) {
    auto larger = larger_folders.find(folder);
    size_t most = larger == larger_folders.end() ? most_units : larger->second;
    if (names.size() > most)
      violations.push_back(fmt::format("{}: {} units, at most {}", folder, names.size(), most));
  }
  return violations;
}

}  // namespace folio

#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace folio {

// One line a violation, of the sources (.h and .cc) of the program and of the tests under `root`:
//   "nn/gpt.cc: 412 lines, at most 400"
//   "data: 16 units, at most 15"            a header with its source is one unit
std::vector<std::string> size_violations(const std::filesystem::path& root);

}  // namespace folio

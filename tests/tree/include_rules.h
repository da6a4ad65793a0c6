#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace folio {

// Reads every #include of the program's sources (.h and .cc in main.cc and the folders of the
// table in include_rules.cc) under `root` and gives one line a violation:
//   "nn/layers.cc:3: nn may not include train/adamw.h"
std::vector<std::string> include_violations(const std::filesystem::path& root);

// The sources that it reads, relative to `root`.
std::vector<std::filesystem::path> program_sources(const std::filesystem::path& root);

}  // namespace folio

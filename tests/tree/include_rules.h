#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace folio {

// Reads every #include of the program's sources (.h and .cc in main.cc and the folders of the
// table in include_rules.cc) under `root` and gives one line a violation:
//   "nn/layers.cc:3: nn may not include train/optimizer/adamw.h"
std::vector<std::string> include_violations(const std::filesystem::path& root);

// The sources that it reads, relative to `root`, sorted.
std::vector<std::filesystem::path> program_sources(const std::filesystem::path& root);
// Those in one folder and the folders below it; none if there is no such folder.
std::vector<std::filesystem::path> sources_below(const std::filesystem::path& root,
                                                 const std::string& folder);

}  // namespace folio

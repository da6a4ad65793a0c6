#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace folio {

// A small tree of a test's own, with faults that the rules must find.
class SeededTree : public testing::Test {
 protected:
  ~SeededTree() override { clear(); }

  void clear() { std::filesystem::remove_all(root); }
  void add(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }

  const std::filesystem::path root =
      std::filesystem::path(testing::TempDir()) / ("folio-tree-" + std::to_string(::getpid()));
};

}  // namespace folio

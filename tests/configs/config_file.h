#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace folio {

// A TOML file that lives as long as the object.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~ConfigFile() { std::filesystem::remove(path); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  const std::string path =
      fmt::format("{}folio-{}-{}.toml", testing::TempDir(), ::getpid(), ++count_);

 private:
  static inline int count_ = 0;
};

}  // namespace folio

#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace folio {

// A config file, in TOML or in Python, that lives as long as the object.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& content, const std::string& extension = ".toml")
      : path(fmt::format("{}folio-{}-{}{}", testing::TempDir(), ::getpid(), ++count_, extension)) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~ConfigFile() { std::filesystem::remove(path); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  const std::string path;

 private:
  static inline int count_ = 0;
};

}  // namespace folio

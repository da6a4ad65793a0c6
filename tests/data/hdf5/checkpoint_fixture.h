#pragma once
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/backend.h"
#include "data/hdf5/checkpoint_file.h"
#include "tests/device.h"

// Small checkpoints, and a folder to save them in.
namespace folio {

namespace fs = std::filesystem;

inline std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_contents(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

inline std::vector<unsigned char> bytes_of(const Array& array) {
  std::vector<unsigned char> bytes(array.bytes());
  backend(array)->memory.read(array, bytes.data());
  return bytes;
}

// Bytes that follow from their place alone.
inline Array patterned(Shape shape, DType dtype) {
  Array array(shape, dtype, test_device());
  std::vector<unsigned char> bytes(array.bytes());
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7 + i / 251);
  backend(array)->memory.write(bytes.data(), array);
  return array;
}

inline void expect_same(const CheckpointFile& actual, const CheckpointFile& expected) {
  EXPECT_EQ(actual.attributes, expected.attributes);
  ASSERT_EQ(actual.tensors.size(), expected.tensors.size());
  for (const auto& [name, array] : expected.tensors) {
    SCOPED_TRACE(name);
    const Array& other = actual.tensor(name);
    EXPECT_EQ(other.dtype(), array.dtype());
    EXPECT_EQ(other.shape(), array.shape());
    EXPECT_EQ(bytes_of(other), bytes_of(array));
  }
}

class CheckpointFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "folio_checkpoint_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr) << strerror(errno);
    directory = name;
    path = directory / "ckpt.h5";
  }
  void TearDown() override {
    umount2((directory / "disk").c_str(), MNT_DETACH);  // where a test mounted one
    fs::remove_all(directory);
  }

  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  fs::path directory, path;
};

inline CheckpointFile small() {
  CheckpointFile file;
  file.tensors["model/transformer.wte.weight"] = to_array<float>({1, -2, 3.5, 0, 5, 6}, {2, 3});
  file.tensors["adamw/m/transformer.wte.weight"] = to_array<float>({7, 8, 9, 10, 11, 12}, {2, 3});
  file.attributes["iter"] = int64_t(20);
  file.attributes["vocabulary"] = std::string("\n !é漢🙂");
  return file;
}

inline CheckpointFile large() {
  CheckpointFile file;
  file.tensors["weight"] = patterned({256, 1024}, DType::f32);
  return file;
}

}  // namespace folio

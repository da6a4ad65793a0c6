#include "data/checkpoint_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <vector>

#include "core/backend.h"
#include "tests/message.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf, testing::HasSubstr, testing::Not;

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_contents(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

std::vector<unsigned char> bytes_of(const Array& array) {
  std::vector<unsigned char> bytes(array.bytes());
  backend(array).read(array, bytes.data());
  return bytes;
}

// Bytes that follow from their place alone.
Array patterned(Shape shape, DType dtype) {
  Array array(shape, dtype);
  std::vector<unsigned char> bytes(array.bytes());
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7 + i / 251);
  backend(array).write(bytes.data(), array);
  return array;
}

void expect_same(const CheckpointFile& actual, const CheckpointFile& expected) {
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

CheckpointFile small() {
  CheckpointFile file;
  file.tensors["model/transformer.wte.weight"] = to_array<float>({1, -2, 3.5, 0, 5, 6}, {2, 3});
  file.tensors["adamw/m/transformer.wte.weight"] = to_array<float>({7, 8, 9, 10, 11, 12}, {2, 3});
  file.attributes["iter"] = int64_t(20);
  file.attributes["vocabulary"] = std::string("\n !é漢🙂");
  return file;
}

CheckpointFile large() {
  CheckpointFile file;
  file.tensors["weight"] = patterned({256, 1024}, DType::f32);
  return file;
}

TEST_F(CheckpointFileTest, RoundTripsEveryDTypeBitForBit) {
  CheckpointFile file;
  std::vector<float> f32 = {std::bit_cast<float>(0x7fc12345u),
                            std::bit_cast<float>(0x7f800001u),
                            std::bit_cast<float>(0xff800000u),
                            -0.0f,
                            1e-45f,
                            std::numeric_limits<float>::max()};
  file.tensors["f32"] = to_array(f32, {2, 3});
  file.tensors["f64"] = to_array<double>({std::bit_cast<double>(0x7ff0000000000001u),
                                          std::bit_cast<double>(0xfff8000000abcdefu), -0.0, 5e-324},
                                         {4});
  std::vector<bfloat16> bf16(65536);
  for (size_t i = 0; i < bf16.size(); ++i) bf16[i].bits = uint16_t(i);
  file.tensors["bf16"] = to_array(bf16, {256, 256});
  file.tensors["i32"] = to_array<int32_t>({INT32_MIN, -1, 0, INT32_MAX}, {2, 2});
  save(path, file);
  expect_same(load(path), file);
}

TEST_F(CheckpointFileTest, RoundTripsShapes) {
  CheckpointFile file;
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::i32, DType::i8}) {
    std::string type(name_of(dtype));
    file.tensors[type + "/scalar"] = patterned({}, dtype);
    file.tensors[type + "/empty"] = patterned({0}, dtype);
    file.tensors[type + "/empty_rows"] = patterned({3, 0, 2}, dtype);
    file.tensors[type + "/deep/er/six"] = patterned({1, 2, 1, 2, 1, 3}, dtype);
  }
  save(path, file);
  expect_same(load(path), file);
}

TEST_F(CheckpointFileTest, RoundTripsAttributes) {
  CheckpointFile file;
  file.attributes["yes"] = true;
  file.attributes["no"] = false;
  file.attributes["least"] = std::numeric_limits<int64_t>::min();
  file.attributes["seed"] = std::bit_cast<int64_t>(uint64_t(0xfedcba9876543210u));
  file.attributes["third"] = 1.0 / 3.0;
  file.attributes["infinite"] = -std::numeric_limits<double>::infinity();
  file.attributes["empty"] = std::string();
  file.attributes["unicode"] = std::string("naïve 漢字 🙂\n\t\"");
  file.attributes["with NUL"] = std::string("\0a\0b\0", 5);
  file.attributes["one NUL"] = std::string(1, '\0');
  file.attributes["größe"] = std::string("a key in UTF-8");
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "0123456789"[i * 7 % 10];
  file.attributes["long"] = text;
  text[100] = '\0';
  file.attributes["long with NUL"] = text;
  for (int i = 0; i < 60; ++i) file.attributes[fmt::format("option_{}", i)] = int64_t(i);
  save(path, file);
  CheckpointFile loaded = load(path);
  expect_same(loaded, file);
  EXPECT_EQ(std::bit_cast<uint64_t>(loaded.attribute<int64_t>("seed")), 0xfedcba9876543210u);
}

TEST_F(CheckpointFileTest, RoundTripsNaNAttribute) {  // its own test: NaN equals nothing
  CheckpointFile file;
  file.attributes["nan"] = std::bit_cast<double>(uint64_t(0x7ff8000000001234u));
  save(path, file);
  EXPECT_EQ(std::bit_cast<uint64_t>(load(path).attribute<double>("nan")), 0x7ff8000000001234u);
}

TEST_F(CheckpointFileTest, RoundTripsNothing) {
  save(path, {});
  expect_same(load(path), {});
}

TEST_F(CheckpointFileTest, SavesTheSameContentAsTheSameBytes) {
  save(path, small());
  std::string before = contents(path);
  std::vector<char> dirt(1 << 20, 'x');  // memory that HDF5 may get next
  { std::vector<char>().swap(dirt); }
  save(directory / "other.h5", large());
  save(directory / "again.h5", small());
  EXPECT_EQ(contents(directory / "again.h5"), before);
}

TEST_F(CheckpointFileTest, SavesNoTimes) {
  save(path, small());
  hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  for (const char* name : {"/", "model", "model/transformer.wte.weight"}) {
    H5O_info_t info{};
    ASSERT_GE(H5Oget_info_by_name2(file, name, &info, H5O_INFO_TIME, H5P_DEFAULT), 0);
    EXPECT_EQ(info.mtime, 0) << name;
    EXPECT_EQ(info.ctime, 0) << name;
  }
  H5Fclose(file);
}

TEST_F(CheckpointFileTest, ReplacesAndLeavesNothingBeside) {
  save(path, large());
  save(path, small());
  expect_same(load(path), small());
  EXPECT_THAT(files(), testing::ElementsAre("ckpt.h5"));
}

TEST_F(CheckpointFileTest, SavesIntoTheCurrentDirectory) {
  fs::path before = fs::current_path();
  fs::current_path(directory);
  std::string error = error_of([] { save("ckpt.h5", small()); });
  fs::current_path(before);
  EXPECT_EQ(error, "");
  expect_same(load(path), small());
}

// What a checkpoint lacks

TEST_F(CheckpointFileTest, NamesWhatIsMissingOrOfAnotherType) {
  save(path, small());
  CheckpointFile file = load(path);
  EXPECT_TRUE(file.has("iter"));
  EXPECT_TRUE(file.has("model/transformer.wte.weight"));
  EXPECT_FALSE(file.has("model"));
  EXPECT_EQ(file.attribute<int64_t>("iter"), 20);
  EXPECT_THAT(error_of([&] { file.tensor("model/lm_head"); }),
              AllOf(HasSubstr(path.string()), HasSubstr("model/lm_head"),
                    HasSubstr("model/transformer.wte.weight")));
  EXPECT_THAT(error_of([&] { file.attribute<bool>("bias"); }),
              AllOf(HasSubstr(path.string()), HasSubstr("\"bias\""), HasSubstr("a bool"),
                    HasSubstr("\"iter\"")));
  EXPECT_THAT(error_of([&] { file.attribute<std::string>("iter"); }),
              AllOf(HasSubstr(path.string()), HasSubstr("\"iter\""), HasSubstr("a string"),
                    HasSubstr("an int64 (20)")));
  EXPECT_THAT(error_of([&] { file.attribute<double>("vocabulary"); }),
              AllOf(HasSubstr("a float64"), HasSubstr("a string (of 12 bytes)")));
}

TEST_F(CheckpointFileTest, RejectsNamesThatHdf5CannotHold) {
  for (std::string name : {"", "/a", "a/", "a//b", ".", "a/../b", "a/."}) {
    CheckpointFile file;
    file.tensors[name] = patterned({1}, DType::f32);
    EXPECT_THAT(error_of([&] { save(path, file); }),
                AllOf(HasSubstr(path.string()), HasSubstr("\"" + name + "\"")));
  }
  CheckpointFile both = small();
  both.tensors["model"] = patterned({1}, DType::f32);  // a dataset where others need a group
  EXPECT_THAT(error_of([&] { save(path, both); }), HasSubstr("\"model/transformer.wte.weight\""));
  CheckpointFile undefined;
  undefined.tensors["a"] = Array();
  EXPECT_THAT(error_of([&] { save(path, undefined); }), HasSubstr("\"a\" is undefined"));
  EXPECT_THAT(files(), testing::IsEmpty());
}

// Damage

void flip(int fd, size_t at, unsigned char mask) {
  unsigned char byte = 0;
  ASSERT_EQ(pread(fd, &byte, 1, off_t(at)), 1);
  byte ^= mask;
  ASSERT_EQ(pwrite(fd, &byte, 1, off_t(at)), 1);
}

TEST_F(CheckpointFileTest, RejectsEveryFlippedByte) {
  save(path, small());
  size_t size = fs::file_size(path);
  ASSERT_LT(size, 20000u);
  int fd = open(path.c_str(), O_RDWR);
  std::mt19937 random(1);
  for (size_t at = 0; at < size; ++at) {
    // a random single bit, and a random change of the byte
    for (auto mask : {uint8_t(1u << random() % 8), uint8_t(1 + random() % 255)}) {
      flip(fd, at, mask);
      std::string error = error_of([&] { load(path); });
      flip(fd, at, mask);
      ASSERT_THAT(error, AllOf(HasSubstr(path.string()), HasSubstr("damaged"), HasSubstr("restore"),
                               Not(HasSubstr("HDF5"))))
          << "byte " << at << " of " << size << ", mask " << int(mask);
    }
  }
  close(fd);
  expect_same(load(path), small());
}

TEST_F(CheckpointFileTest, RejectsEveryTruncation) {
  save(path, small());
  for (size_t size = fs::file_size(path); size-- > 0;) {
    fs::resize_file(path, size);
    ASSERT_THAT(error_of([&] { load(path); }), AllOf(HasSubstr(path.string()), HasSubstr("damaged"),
                                                     HasSubstr("restore"), Not(HasSubstr("HDF5"))))
        << size << " bytes";
  }
}

TEST_F(CheckpointFileTest, RejectsAppendedBytes) {
  save(path, small());
  std::string whole = contents(path);
  for (std::string tail : {std::string(1, '\0'), std::string(4096, '\0'), std::string("garbage")}) {
    write_contents(path, whole + tail);
    EXPECT_THAT(error_of([&] { load(path); }),
                AllOf(HasSubstr(path.string()), HasSubstr("damaged")));
  }
}

TEST_F(CheckpointFileTest, RejectsFilesThatAreNotCheckpoints) {
  auto expect_error = [&](const std::string& what) {
    EXPECT_THAT(error_of([&] { load(path); }), AllOf(HasSubstr(path.string()), HasSubstr(what)));
  };
  expect_error("No such file");
  write_contents(path, "just some text, longer than the magic");
  expect_error("not a folio checkpoint");
  write_contents(path, std::string(5000, '\0'));
  expect_error("not a folio checkpoint");
  hid_t plain = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(plain, 0);
  H5Fclose(plain);
  expect_error("has no digest");
  fs::remove(path);
  fs::create_directory(path);
  expect_error("not a regular file");
}

// Saves that cannot be done

TEST_F(CheckpointFileTest, SaysWhyItCannotSave) {
  fs::path nowhere = directory / "missing" / "ckpt.h5";
  EXPECT_THAT(error_of([&] { save(nowhere, small()); }),
              AllOf(HasSubstr(nowhere.string()), HasSubstr("No such file or directory")));
  fs::create_directory(path);
  EXPECT_THAT(error_of([&] { save(path, small()); }),
              AllOf(HasSubstr(path.string()), HasSubstr("Is a directory")));
  EXPECT_THAT(files(), testing::ElementsAre("ckpt.h5"));
}

TEST_F(CheckpointFileTest, LeavesTheOldFileWhenTheNewOneIsTooLarge) {
  save(path, small());
  size_t size = fs::file_size(path);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  // Limits inside the tensor's data, inside the header, and just short of everything.
  for (size_t limit : {size_t(100000), size_t(700), size - 1}) {
    rlimit tight{limit, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
    std::string error = error_of([&] { save(path, limit == size - 1 ? small() : large()); });
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_THAT(error, AllOf(HasSubstr(path.string()), HasSubstr("File too large"),
                             HasSubstr("bytes are needed"), HasSubstr("as it was")));
    EXPECT_THAT(files(), testing::ElementsAre("ckpt.h5"));
    expect_same(load(path), small());
  }
  std::signal(SIGXFSZ, handler);
  save(path, large());  // a failure leaves nothing behind in HDF5 either
  expect_same(load(path), large());
  EXPECT_EQ(H5Fget_obj_count(hid_t(H5F_OBJ_ALL), H5F_OBJ_ALL), 0);
}

TEST_F(CheckpointFileTest, LeavesTheOldFileWhenTheDiskIsFull) {
  fs::path disk = directory / "disk";
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "cannot mount a small tmpfs here: " << strerror(errno);
  }
  path = disk / "ckpt.h5";
  save(path, small());
  EXPECT_THAT(error_of([&] { save(path, large()); }),
              AllOf(HasSubstr(path.string()), HasSubstr("No space left on device"),
                    HasSubstr("1049088 bytes are needed"), HasSubstr("as it was")));
  EXPECT_EQ(std::distance(fs::directory_iterator(disk), {}), 1);
  expect_same(load(path), small());
}

// Temporary files

TEST_F(CheckpointFileTest, RemovesOnlyAbandonedTemporaryFiles) {
  for (const char* name : {"ckpt.h5.123-0.tmp", "ckpt.h5.tmp", "ckpt.h5.12a-0.tmp",
                           "last.h5.123-0.tmp", "ckpt.h5.456-0.tmp", "ckpt.h5.123-.tmp"}) {
    write_contents(directory / name, "x");
  }
  int live = open((directory / "ckpt.h5.456-0.tmp").c_str(), O_RDWR);
  ASSERT_EQ(flock(live, LOCK_EX), 0);  // as its writer holds it
  save(path, small());
  EXPECT_THAT(files(), testing::UnorderedElementsAre("ckpt.h5", "ckpt.h5.tmp", "ckpt.h5.12a-0.tmp",
                                                     "last.h5.123-0.tmp", "ckpt.h5.456-0.tmp",
                                                     "ckpt.h5.123-.tmp"));
  close(live);
  save(path, small());
  EXPECT_FALSE(fs::exists(directory / "ckpt.h5.456-0.tmp"));
}

// h5py

constexpr const char* h5py_script = R"(
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'r') as f:
    assert f.userblock_size == 512, f.userblock_size
    a = f.attrs
    assert a['bias'] == True and a['bias'].dtype == np.bool_, a['bias']
    assert a['iter'] == 20 and a['iter'].dtype == np.int64
    assert a['best_val_loss'] == 1.5 and a['best_val_loss'].dtype == np.float64
    assert a['vocabulary'] == 'na\u00efve \u6f22', a['vocabulary']
    assert a['long'] == 'ab' * 100000
    assert bytes(a['nul']) == b'a\0b', a['nul']
    w = f['model/transformer.wte.weight']
    assert w.dtype == np.float32 and w.shape == (2, 3) and w[1].tolist() == [-4, 5, 6]
    b = f['model/half'][()]
    assert b.dtype == np.float32 and b[:3].tolist() == [1.5, -0.0078125, float('inf')], b
    assert np.isnan(b[3])
    assert f['ids'].dtype == np.int32 and f['ids'][()].tolist() == [-1, 65535]
    assert f['loss'].dtype == np.float64 and f['loss'][()] == 0.25 and f['loss'].shape == ()
    assert f['none'].shape == (0, 4)
)";

// A Python that imports h5py: $FOLIO_PYTHON, else python3; "" if neither does.
std::string python_with_h5py() {
  const char* given = std::getenv("FOLIO_PYTHON");
  for (std::string python : {std::string(given ? given : ""), std::string("python3")}) {
    if (!python.empty() && std::system((python + " -c 'import h5py' 2>&1").c_str()) == 0) {
      return python;
    }
  }
  return "";
}

TEST_F(CheckpointFileTest, OpensInH5py) {
  CheckpointFile file;
  file.attributes["bias"] = true;
  file.attributes["iter"] = int64_t(20);
  file.attributes["best_val_loss"] = 1.5;
  file.attributes["vocabulary"] = std::string("naïve 漢");
  file.attributes["nul"] = std::string("a\0b", 3);
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "ab";
  file.attributes["long"] = text;
  file.tensors["model/transformer.wte.weight"] = to_array<float>({1, 2, 3, -4, 5, 6}, {2, 3});
  float infinity = std::numeric_limits<float>::infinity();
  file.tensors["model/half"] = to_array<bfloat16>(
      {bfloat16(1.5f), bfloat16(-0.0078125f), bfloat16(infinity), bfloat16(infinity - infinity)},
      {4});
  file.tensors["ids"] = to_array<int32_t>({-1, 65535}, {2});
  file.tensors["loss"] = to_array<double>({0.25}, {});
  file.tensors["none"] = patterned({0, 4}, DType::f32);
  save(path, file);
  std::string python = python_with_h5py();
  if (python.empty()) {
    GTEST_SKIP() << "python3 has no h5py; set FOLIO_PYTHON to one that does";
  }
  write_contents(directory / "look.py", h5py_script);
  EXPECT_EQ(
      std::system(
          fmt::format("{} {} {}", python, (directory / "look.py").string(), path.string()).c_str()),
      0);
}

}  // namespace
}  // namespace folio

#include "data/hdf5/checkpoint_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <bit>
#include <cstdlib>
#include <limits>

#include "tests/data/hdf5/checkpoint_fixture.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf, testing::HasSubstr, testing::Not;

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

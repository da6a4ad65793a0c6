#include "data/torch_file/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/backend.h"
#include "data/files/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/data/torch_file/torch_file_writer.h"
#include "tests/message.h"

namespace folio {
namespace {

using namespace std::string_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace writer = torch_writer;

constexpr int64_t huge = int64_t(1) << 62;

struct Opened {
  std::string bytes;
  TorchFile file{bytes, "x.pt"};

  std::vector<float> values(const char* name = "w") const {
    const auto& root = file.root().get<PickleValue::Dict>("x.pt", "a dict");
    return to_vector<float>(file.read(file.tensor(*find(root, name), name)));
  }
};

template <class T>
std::string one_tensor(writer::Tensor tensor, const std::vector<T>& storage) {
  tensor.storage_size = int64_t(storage.size());
  return writer::file(writer::dict({{"w", writer::tensor(tensor)}}),
                      {{"0", writer::bytes_of(storage)}});
}
std::string error(std::string bytes) {
  return error_of([&] { Opened{std::move(bytes)}.values(); });
}

TEST(TorchFile, ReadsEveryDType) {
  auto read = [](const char* type, auto storage) {
    return Opened{one_tensor({.type = type, .shape = {2}, .stride = {1}}, storage)}.values();
  };
  EXPECT_THAT(read("FloatStorage", std::vector<float>{1.5f, -2}), ElementsAre(1.5f, -2));
  EXPECT_THAT(read("DoubleStorage", std::vector<double>{1.5, -2}), ElementsAre(1.5f, -2));
  EXPECT_THAT(read("BFloat16Storage", std::vector<uint16_t>{0x3fc0, 0xc000}),
              ElementsAre(1.5f, -2));
  EXPECT_THAT(read("LongStorage", std::vector<int64_t>{7, -2}), ElementsAre(7, -2));
  EXPECT_THAT(read("IntStorage", std::vector<int32_t>{7, -2}), ElementsAre(7, -2));
  EXPECT_THAT(read("ShortStorage", std::vector<int16_t>{7, -2}), ElementsAre(7, -2));
  EXPECT_THAT(read("CharStorage", std::vector<int8_t>{7, -2}), ElementsAre(7, -2));
  EXPECT_THAT(read("ByteStorage", std::vector<uint8_t>{7, 254}), ElementsAre(7, 254));
  EXPECT_THAT(read("BoolStorage", std::vector<uint8_t>{0, 1}), ElementsAre(0, 1));
}

// Against the definition in IEEE 754, for all 65,536.
TEST(TorchFile, ReadsEveryHalf) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = uint16_t(i);
  Opened opened{one_tensor({.type = "HalfStorage", .shape = {65536}, .stride = {1}}, halves)};
  std::vector<float> values = opened.values();
  for (int i = 0; i < 65536; ++i) {
    int sign = i >> 15 ? -1 : 1, exponent = i >> 10 & 31, fraction = i & 1023;
    double expected =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31 && fraction != 0)
      EXPECT_TRUE(std::isnan(values[size_t(i)])) << i;
    else
      EXPECT_EQ(values[size_t(i)], sign * (exponent == 31 ? INFINITY : expected)) << i;
    EXPECT_EQ(std::signbit(values[size_t(i)]), sign < 0) << i;
  }
}

TEST(TorchFile, FollowsOffsetsAndStrides) {
  std::vector<float> storage = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  auto read = [&](writer::Tensor tensor) { return Opened{one_tensor(tensor, storage)}.values(); };
  EXPECT_THAT(read({.offset = 2, .shape = {2, 3}, .stride = {3, 1}}),
              ElementsAre(2, 3, 4, 5, 6, 7));
  EXPECT_THAT(read({.offset = 1, .shape = {3, 2}, .stride = {1, 3}}),  // transposed
              ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(read({.shape = {2, 2, 2}, .stride = {5, 2, 1}}), ElementsAre(0, 1, 2, 3, 5, 6, 7, 8));
  EXPECT_THAT(read({.offset = 9}), ElementsAre(9));  // a scalar
  EXPECT_THAT(read({.offset = 10, .shape = {0, 3}, .stride = {3, 1}}), ElementsAre());
  EXPECT_THAT(read({.shape = {1, 4}, .stride = {77, 2}}), ElementsAre(0, 2, 4, 6));
}

TEST(TorchFile, TensorsShareStorages) {
  writer::Tensor first{.storage_size = 4, .shape = {2}, .stride = {1}}, second = first;
  second.offset = 2;
  second.device = "cuda:0";
  Opened opened{
      writer::file(writer::dict({{"a", writer::tensor(first)}, {"b", writer::tensor(second)}}),
                   {{"0", writer::bytes_of<float>({1, 2, 3, 4})}})};
  EXPECT_THAT(opened.values("a"), ElementsAre(1, 2));
  EXPECT_THAT(opened.values("b"), ElementsAre(3, 4));
}

TEST(TorchFile, ReadsParameters) {
  writer::Tensor tensor{.storage_size = 2, .shape = {2}, .stride = {1}};
  std::string parameter =
      writer::call(writer::global("torch._utils", "_rebuild_parameter"),
                   writer::tuple({writer::tensor(tensor), writer::boolean(true), writer::none()}));
  Opened opened{
      writer::file(writer::dict({{"w", parameter}}), {{"0", writer::bytes_of<float>({1, 2})}})};
  EXPECT_THAT(opened.values(), ElementsAre(1, 2));
}

TEST(TorchFile, ATensorBeyondItsStorageIsAnError) {
  std::vector<float> storage(6);
  for (const writer::Tensor& tensor : {
           writer::Tensor{.shape = {7}, .stride = {1}},
           writer::Tensor{.offset = 1, .shape = {6}, .stride = {1}},
           writer::Tensor{.offset = 6},
           writer::Tensor{.offset = -1, .shape = {2}, .stride = {1}},
           writer::Tensor{.offset = huge, .shape = {2}, .stride = {1}},
           writer::Tensor{.shape = {2, 3}, .stride = {4, 1}},
           writer::Tensor{.shape = {2, 4}, .stride = {0, 1}},  // expanded
           writer::Tensor{.shape = {huge}, .stride = {0}},
           writer::Tensor{.shape = {huge, 8}, .stride = {0, 0}},
           writer::Tensor{.shape = {3}, .stride = {huge}},
           writer::Tensor{.shape = {-1}, .stride = {1}},
           writer::Tensor{.shape = {2}, .stride = {-1}},
           writer::Tensor{.shape = {2}, .stride = {1, 1}},
           writer::Tensor{.shape = {1, 1, 1, 1, 1, 1, 1}, .stride = {1, 1, 1, 1, 1, 1, 1}},
       })
    EXPECT_THAT(error(one_tensor(tensor, storage)), AllOf(HasSubstr("x.pt: tensor w")))
        << tensor.offset;
}

TEST(TorchFile, AStorageOfAnotherSizeIsAnError) {
  for (int64_t size : {int64_t(3), int64_t(5), int64_t(-1), huge, INT64_MAX}) {
    writer::Tensor tensor{.storage_size = size, .shape = {2}, .stride = {1}};
    EXPECT_THAT(error(writer::file(writer::dict({{"w", writer::tensor(tensor)}}),
                                   {{"0", writer::bytes_of<float>({1, 2, 3, 4})}})),
                HasSubstr("16 bytes"));
  }
  EXPECT_THAT(error(writer::file(writer::dict({{"w", writer::tensor({.key = "7"})}}), {})),
              HasSubstr("data/7 is not in the file"));
}

TEST(TorchFile, WhatIsNoTensorIsNamed) {
  EXPECT_THAT(error(writer::file(writer::dict({{"w", writer::integer(3)}}), {})),
              HasSubstr("tensor w should be a tensor, not the int 3"));
  EXPECT_THAT(error(writer::file(writer::global("os", "system"), {})), HasSubstr("os.system"));
}

// A flipped bit anywhere in a storage is found by its CRC-32.
TEST(TorchFile, DamagedBytesAreAnError) {
  std::string whole = one_tensor<float>({.shape = {2}, .stride = {1}}, {1.5f, -2});
  size_t at = whole.find(writer::bytes_of<float>({1.5f, -2}));
  ASSERT_NE(at, whole.npos);
  for (size_t i = 0; i < 8; ++i) {
    std::string damaged = whole;
    damaged[at + i] ^= 1;
    EXPECT_THAT(error(damaged), AllOf(HasSubstr("archive/data/0"), HasSubstr("CRC")));
  }
}

TEST(TorchFile, EveryTruncationIsAnError) {
  std::string whole = one_tensor<float>({.shape = {2}, .stride = {1}}, {1.5f, -2});
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(error(whole.substr(0, size)), "") << size;
  EXPECT_EQ(error(whole), "");
}

TEST(TorchFile, CompressedEntriesAreRefused) {
  std::string whole = one_tensor<float>({.shape = {2}, .stride = {1}}, {1.5f, -2});
  for (std::string magic : {"PK\3\4"s, "PK\1\2"s}) {
    size_t at = whole.find(magic + writer::little_endian(20, 2)),
           method = magic == "PK\3\4" ? 8 : 10;
    whole[at + method] = 8;  // deflated
  }
  EXPECT_THAT(error(whole), HasSubstr("compressed"));
}

TEST(TorchFile, OtherKindsOfFileAreNamed) {
  EXPECT_THAT(error(writer::zip({{"a/b", "c"}})), HasSubstr("has no /data.pkl"));
  EXPECT_THAT(error("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."s),
              HasSubstr("before 1.6"));
  EXPECT_THAT(error("not a zip"), HasSubstr("zip"));
  EXPECT_THAT(error(writer::file(writer::dict({}), {}, "big")), HasSubstr("big-endian"));
}

TEST(TorchFile, IsKnownByItsFirstBytes) {
  TemporaryFolder folder;
  write_file(folder / "a.pt", writer::file(writer::none(), {}));
  write_file(folder / "b.h5", "\211HDF\r\n\032\n");
  EXPECT_TRUE(is_torch_file(folder / "a.pt"));
  EXPECT_FALSE(is_torch_file(folder / "b.h5"));
  EXPECT_FALSE(is_torch_file(folder / "none"));
}

}  // namespace
}  // namespace folio

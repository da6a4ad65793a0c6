#include "data/safetensors/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/backend.h"
#include "data/files/files.h"
#include "data/safetensors/half.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

SafetensorsSource source(const std::string& name, const Array& array) {
  return {.name = name, .dtype = array.dtype(), .shape = array.shape(), .make = [array] {
            return array;
          }};
}

Array bf16_array(std::vector<float> values) {
  Array wide = to_array(values, {int64_t(values.size())});
  return backend(wide)->elementwise.cast(wide, DType::bf16);
}

std::vector<SafetensorsSource> four_tensors() {
  return {source("c", bf16_array({1, -2})),
          source("b", to_array(std::vector<float>{1, 2, 3, -4}, {2, 2})),
          source("aa", Array({0, 3}, DType::f32, test_device())),
          source("a", to_array(std::vector<float>{0.5f, 0.25f, 1}, {3}))};
}

// The same tensors as the format's own library, safetensors 0.8.0, saves them.
std::string as_the_library_saves_them() {
  using namespace std::string_literals;
  return "\x08\x01\0\0\0\0\0\0"s
         R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
         R"("aa":{"dtype":"F32","shape":[0,3],"data_offsets":[12,12]},)"
         R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[12,28]},)"
         R"("c":{"dtype":"BF16","shape":[2],"data_offsets":[28,32]}}       )"
         "\0\0\0?\0\0\x80>\0\0\x80?\0\0\x80?\0\0\0@\0\0@@\0\0\x80\xc0\x80?\0\xc0"s;
}

TEST(Safetensors, WritesTheLibrarysBytesWhateverTheOrder) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors";
  std::vector<SafetensorsSource> tensors = four_tensors();
  for (int turn = 0; turn < 4; ++turn) {
    write_safetensors(path, tensors, {{"format", "pt"}});
    EXPECT_EQ(read_file(path), as_the_library_saves_them());
    std::rotate(tensors.begin(), tensors.begin() + 1, tensors.end());
  }
}

TEST(Safetensors, ReadsTheLibrarysBytes) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors";
  write_file(path, as_the_library_saves_them());
  Array b, c;
  {
    Safetensors file(path);
    EXPECT_EQ(file.path(), path);
    EXPECT_THAT(file.names(), ElementsAre("a", "aa", "b", "c"));
    EXPECT_TRUE(file.has("aa"));
    EXPECT_FALSE(file.has("d"));
    EXPECT_EQ(file.shape("aa"), (Shape{0, 3}));
    EXPECT_THAT(to_vector<float>(file.tensor("a")), ElementsAre(0.5f, 0.25f, 1));
    EXPECT_EQ(file.tensor("aa").size(), 0);
    b = file.tensor("b");
    c = file.tensor("c");
    EXPECT_THAT(error_of([&] { file.tensor("d"); }), HasSubstr(path + ": has no tensor d"));
    EXPECT_THAT(error_of([&] { (void)file.shape("d"); }), HasSubstr("has no tensor d"));
  }
  EXPECT_EQ(b.shape(), (Shape{2, 2}));  // the arrays hold the file open
  EXPECT_THAT(to_vector<float>(b), ElementsAre(1, 2, 3, -4));
  EXPECT_EQ(c.dtype(), DType::bf16);
  EXPECT_THAT(to_vector<float>(backend(c)->elementwise.cast(c, DType::f32)), ElementsAre(1, -2));
}

// A header whose length is not a multiple of four leaves the numbers unaligned.
TEST(Safetensors, ReadsTensorsThatAreNotAligned) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors";
  for (size_t spaces = 0; spaces < 8; ++spaces) {
    std::string file = as_the_library_saves_them(), padding(spaces, ' ');
    file.insert(8 + 264, padding);
    file[0] = char(8 + spaces);
    write_file(path, file);
    EXPECT_THAT(to_vector<float>(Safetensors(path).tensor("b")), ElementsAre(1, 2, 3, -4));
    Array c = Safetensors(path).tensor("c");
    EXPECT_THAT(to_vector<float>(backend(c)->elementwise.cast(c, DType::f32)), ElementsAre(1, -2));
  }
}

// IEEE 754's definition, by powers of two.
float half_by_definition(uint16_t half) {
  int exponent = half >> 10 & 31, mantissa = half & 1023;
  double sign = half & 0x8000 ? -1 : 1;
  if (exponent == 31) return float(sign * (mantissa ? NAN : INFINITY));
  return float(sign *
               (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24)));
}

TEST(Safetensors, ReadsEveryHalf) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors", bits;
  for (int half = 0; half < 65536; ++half) bits += {char(half & 0xff), char(half >> 8)};
  std::vector<std::pair<std::string, SafetensorsEntry>> entries{
      {"w", {.dtype = "F16", .shape = {256, 256}}}};
  write_file(path, make_safetensors_header(entries, {}) + bits);
  Array w = Safetensors(path).tensor("w");
  EXPECT_EQ(w.shape(), (Shape{256, 256}));
  std::vector<float> values = to_vector<float>(w);
  for (int half = 0; half < 65536; ++half) {
    float expected = half_by_definition(uint16_t(half)), got = values[size_t(half)];
    if (std::isnan(expected))
      ASSERT_TRUE(std::isnan(got)) << half;
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected)) << half;
  }
}

TEST(Safetensors, OtherDtypesAreNamed) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors";
  std::vector<std::pair<std::string, SafetensorsEntry>> entries{
      {"w", {.dtype = "I64", .shape = {2}}}};
  write_file(path, make_safetensors_header(entries, {}) + std::string(16, '\0'));
  EXPECT_THAT(error_of([&] { Safetensors(path).tensor("w"); }),
              AllOf(HasSubstr("tensor w is I64"), HasSubstr("F32, F16 and BF16")));
}

class Shards : public testing::Test {
 protected:
  Shards() {
    for (auto [shard, name, value] :
         {std::tuple{"one", "a", 1.f}, {"two", "b", 2.f}, {"two", "c", 3.f}})
      shards_[shard].push_back(source(name, to_array(std::vector<float>{value}, {1})));
    write("one");
    write("two");
  }
  void write(const std::string& shard) {
    write_safetensors(folder_ / (shard + ".safetensors"), shards_.at(shard), {});
  }
  // Opens an index with this weight_map.
  std::string error(const std::string& weight_map) {
    write_file(index_, R"({"metadata":{"total_size":12},"weight_map":)" + weight_map + "}");
    return error_of([&] { Safetensors file(index_); });
  }

  TemporaryFolder folder_;
  std::map<std::string, std::vector<SafetensorsSource>> shards_;
  std::string index_ = folder_ / "model.safetensors.index.json";
};

TEST_F(Shards, AreReadAsOne) {
  EXPECT_EQ(error(R"({"a":"one.safetensors","b":"two.safetensors","c":"two.safetensors"})"), "");
  Safetensors file(index_);
  EXPECT_THAT(file.names(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(to_vector<float>(file.tensor("a")), ElementsAre(1));
  EXPECT_THAT(to_vector<float>(file.tensor("c")), ElementsAre(3));
}

TEST_F(Shards, MustHoldWhatTheIndexSays) {
  EXPECT_THAT(error(R"({"a":"one.safetensors","z":"two.safetensors"})"),
              HasSubstr("tensor z is not in two.safetensors"));
  EXPECT_THAT(error(R"({"a":"three.safetensors"})"), HasSubstr("three.safetensors"));
  for (const char* place : {"../one.safetensors", "/tmp/one.safetensors", "..", ""})
    EXPECT_THAT(error(fmt::format(R"({{"a":"{}"}})", place)), HasSubstr("lies beside its index"));
  EXPECT_THAT(error("[]"), HasSubstr("not an index"));
  EXPECT_THAT(error("{\"a\":1}"), HasSubstr("not an index"));
  write_file(index_, "{");
  EXPECT_THAT(error_of([&] { Safetensors file(index_); }), HasSubstr("not JSON"));
  shards_["one"].push_back(shards_["two"][0]);
  write("one");
  EXPECT_THAT(error(R"({"a":"one.safetensors","b":"two.safetensors"})"),
              HasSubstr("tensor b is in another shard too"));
}

TEST(WriteSafetensors, AnErrorLeavesTheOldFile) {
  TemporaryFolder folder;
  std::string path = folder / "x.safetensors";
  write_safetensors(path, four_tensors(), {});
  std::string before = read_file(path);
  std::vector<SafetensorsSource> wrong = four_tensors();
  wrong[0].make = [] { return zeros({7}, DType::bf16); };
  EXPECT_THAT(error_of([&] { write_safetensors(path, wrong, {}); }),
              HasSubstr("c is bfloat16 [7], expected bfloat16 [2]"));
  EXPECT_EQ(read_file(path), before);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace folio

// Headers, good and hostile: a file that is not wholly in order is an Error before anything is made
// of it.
#include "data/safetensors/header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "data/files/mapped_file.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;

using testing::HasSubstr;
using testing::StartsWith;

std::string length_field(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += char(length >> (8 * i) & 0xff);
  return bytes;
}

std::string file_of(const std::string& json, size_t data_bytes) {
  return length_field(json.size()) + json + std::string(data_bytes, 'x');
}

std::string error_in(const std::string& json, size_t data_bytes) {
  std::string error = error_of([&] { read_safetensors_header(file_of(json, data_bytes), "m"); });
  EXPECT_THAT(error, StartsWith("m: ")) << json;
  return error;
}

// One tensor "w" with this shape and these data_offsets.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"w":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(SafetensorsHeader, SaysWhereEachTensorLies) {
  std::string json =
      R"({"__metadata__":{"format":"pt"},"b":{"shape":[2,3],"data_offsets":[4,28],"dtype":"F32"},)"
      R"( "a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
      R"("none":{"dtype":"F16","shape":[0,7],"data_offsets":[28,28]},)"
      R"("one":{"dtype":"I64","shape":[],"data_offsets":[28,36]}}  )";
  SafetensorsHeader header = read_safetensors_header(file_of(json, 36), "m");
  uint64_t data = 8 + json.size();
  EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(header.tensors.size(), 4u);
  const SafetensorsEntry& b = header.tensors.at("b");
  EXPECT_EQ(b.dtype, "F32");
  EXPECT_EQ(b.shape, (Shape{2, 3}));
  EXPECT_EQ(b.begin, data + 4);
  EXPECT_EQ(b.end, data + 28);
  EXPECT_EQ(header.tensors.at("a").begin, data);
  EXPECT_EQ(header.tensors.at("none").shape, (Shape{0, 7}));
  EXPECT_EQ(header.tensors.at("one").shape, (Shape{}));
  EXPECT_EQ(header.tensors.at("one").end, data + 36);
}

TEST(SafetensorsHeader, LengthsThatTheFileDoesNotHaveAreErrors) {
  auto error = [](const std::string& file) {
    return error_of([&] { read_safetensors_header(file, "m"); });
  };
  EXPECT_THAT(error(""), HasSubstr("m: 0 bytes are no safetensors file"));
  EXPECT_THAT(error("1234567"), HasSubstr("7 bytes"));
  for (uint64_t length : {uint64_t(3), uint64_t(1) << 40, uint64_t(1) << 63, ~uint64_t(0),
                          ~uint64_t(0) - 7, ~uint64_t(0) - 8})
    EXPECT_THAT(error(length_field(length) + "{}"),
                AllOf(HasSubstr(fmt::format("{} bytes", length)), HasSubstr("the file has 10")));
}

// A file that has as many bytes as it says, which nobody reads: they are a hole.
TEST(SafetensorsHeader, MoreThan100MegabytesAreRefusedUnread) {
  TemporaryFolder folder;
  std::string path = folder / "large.safetensors";
  for (uint64_t length : {100'000'000, 100'000'001}) {
    std::ofstream(path, std::ios::binary) << length_field(length) << "{}";
    std::filesystem::resize_file(path, 8 + length);
    MappedFile file(path);
    std::string error = error_of([&] { read_safetensors_header(file.bytes(), "m"); });
    EXPECT_THAT(error,
                HasSubstr(length > 100'000'000 ? "the format allows 100000000" : "not JSON"));
  }
}

TEST(SafetensorsHeader, ExtentsMustTileTheFile) {
  auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + first +
           R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + second + "}}";
  };
  EXPECT_EQ(error_of([&] { read_safetensors_header(file_of(two("[8,16]", "[0,8]"), 16), "m"); }),
            "");
  EXPECT_THAT(error_in(two("[0,8]", "[4,12]"), 12), HasSubstr("tensor b overlaps the one before"));
  EXPECT_THAT(error_in(two("[0,8]", "[0,8]"), 8), HasSubstr("overlaps"));
  EXPECT_THAT(error_in(two("[0,8]", "[12,20]"), 20), HasSubstr("4 bytes before tensor b"));
  EXPECT_THAT(error_in(two("[4,12]", "[12,20]"), 20), HasSubstr("4 bytes before tensor a"));
  EXPECT_THAT(error_in(two("[0,8]", "[8,16]"), 17), HasSubstr("1 bytes after the last tensor"));
  EXPECT_THAT(error_in("{}", 1), HasSubstr("1 bytes after the last tensor"));
  EXPECT_THAT(error_in(two("[0,8]", "[8,16]"), 15),
              HasSubstr("tensor b lies at data_offsets [8, 16], outside the file's 15 bytes"));
  EXPECT_THAT(error_in(two("[0,8]", "[16,8]"), 16), HasSubstr("tensor b lies at"));
}

TEST(SafetensorsHeader, AShapeIsItsBytes) {
  EXPECT_THAT(error_in(one("F32", "[3]", "[0,8]"), 8),
              HasSubstr("tensor w is F32 [3], which is not the 8 bytes of its data_offsets"));
  EXPECT_THAT(error_in(one("F16", "[2]", "[0,8]"), 8), HasSubstr("F16 [2]"));
  EXPECT_THAT(error_in(one("F33", "[2]", "[0,8]"), 8), HasSubstr("unknown dtype \"F33\""));
}

// Products that wrap around to the size that the file has, and sizes that no file can have.
TEST(SafetensorsHeader, SizesThatDoNotFitAreErrors) {
  for (const char* shape :
       {"[4294967296,4294967296]", "[4611686018427387904,1]", "[2305843009213693952,8]",
        "[9223372036854775807]", "[4294967296,4294967296,4294967296]"})
    EXPECT_THAT(error_in(one("F32", shape, "[0,0]"), 0), HasSubstr("not the 0 bytes")) << shape;
  // 3 * 6148914691236517206 * 4 = 8 modulo 2^64
  EXPECT_THAT(error_in(one("F32", "[3,6148914691236517206]", "[0,8]"), 8), HasSubstr("not the 8"));
  for (const char* number : {"9223372036854775808", "18446744073709551615"}) {
    EXPECT_THAT(error_in(one("F32", fmt::format("[{}]", number), "[0,0]"), 0), HasSubstr(number));
    EXPECT_THAT(error_in(one("F32", "[0]", fmt::format("[0,{}]", number)), 0), HasSubstr(number));
  }
  EXPECT_THAT(error_in(one("F32", "[18446744073709551616]", "[0,0]"), 0), HasSubstr("fraction"));
  EXPECT_THAT(error_in(one("F32", "[0,4611686018427387904]", "[0,4]"), 4), HasSubstr("not the 4"));
}

TEST(SafetensorsHeader, NoNameComesTwice) {
  std::string w = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(error_in("{" + w + "," + w + "}", 1), HasSubstr("has tensor w twice"));
  EXPECT_THAT(error_in(R"({"__metadata__":{"a":"1"},"__metadata__":{"b":"1"}})", 0),
              HasSubstr("has __metadata__ twice"));
  EXPECT_THAT(error_in(R"({"__metadata__":{"a":"1","a":"2"}})", 0),
              HasSubstr("__metadata__ has \"a\" twice"));
  EXPECT_THAT(error_in(R"({"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor w has \"dtype\" twice"));
}

TEST(SafetensorsHeader, WhatTheFormatDoesNotHaveIsNamed) {
  const std::map<std::string, std::string> wrong{
      {"", "does not start with {"},
      {" {}", "does not start with {"},
      {"[]", "does not start with {"},
      {"{", "not JSON"},
      {"{}}", "not JSON"},
      {"{\"w\":1}", "unexpected number"},
      {"{\"w\":\"F32\"}", "unexpected string"},
      {"{\"w\":[]}", "an array"},
      {"{\"w\":null}", "null"},
      {"{\"w\":{}}", "tensor w needs a dtype, a shape and two data_offsets"},
      {one("U8", "[1]", "[0]"), "needs a dtype"},
      {one("U8", "[1]", "[0,1,1]"), "more than two data_offsets"},
      {one("U8", "[1,[1]]", "[0,1]"), "an array"},
      {one("U8", "[1.0]", "[0,1]"), "a fraction"},
      {one("U8", "[-1]", "[0,1]"), "a negative number"},
      {one("U8", "[true]", "[0,1]"), "a boolean"},
      {one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), "more than"},
      {R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", "unknown key \"x\""},
      {R"({"w":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", "unexpected number"},
      {R"({"w":{"dtype":"U8","shape":{},"data_offsets":[0,1]}})", "an object"},
      {R"({"__metadata__":{"a":1}})", "__metadata__ has an unexpected number"},
      {R"({"__metadata__":{"a":{}}})", "an object"},
      {R"({"__metadata__":[]})", "an array"},
      {std::string("{\"\0", 3), "not JSON"},
      {std::string("{}\0", 3), "not JSON at byte 2"},
      {std::string("{}\0{", 4), "not JSON at byte 2"},
      {"{\"\xff\":1}", "not JSON"},
  };
  for (const auto& [json, said] : wrong) EXPECT_THAT(error_in(json, 1), HasSubstr(said)) << json;
  EXPECT_THAT(error_in("{\"w\":" + std::string(1'000'000, '['), 0), HasSubstr("an array"));
}

TEST(SafetensorsHeader, WrittenHeadersReadBack) {
  std::vector<std::pair<std::string, SafetensorsEntry>> tensors{
      {"transformer.\"w\"", {.dtype = "F32", .shape = {2, 3}}},
      {"é", {.dtype = "BF16", .shape = {5}}},
      {"scalar", {.dtype = "F32", .shape = {}}}};
  std::string bytes = make_safetensors_header(tensors, {{"format", "pt"}});
  EXPECT_EQ(bytes.size() % 8, 0u);
  SafetensorsHeader header = read_safetensors_header(bytes + std::string(24 + 10 + 4, '\0'), "m");
  EXPECT_EQ(header.metadata.at("format"), "pt");
  ASSERT_EQ(header.tensors.size(), tensors.size());
  for (const auto& [name, entry] : tensors) {
    const SafetensorsEntry& read = header.tensors.at(name);
    EXPECT_EQ(read.dtype, entry.dtype);
    EXPECT_EQ(read.shape, entry.shape);
    EXPECT_EQ(read.begin, entry.begin);
    EXPECT_EQ(read.end, entry.end);
  }
  tensors.push_back(tensors[0]);
  EXPECT_THAT(error_of([&] { make_safetensors_header(tensors, {}); }),
              HasSubstr("two tensors have the name"));
}

}  // namespace
}  // namespace folio

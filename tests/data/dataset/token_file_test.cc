#include "data/dataset/token_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "data/files/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(TokenFile, ReadsLittleEndianIds) {
  TemporaryFolder folder;
  write_file(folder / "t.bin", std::string("\x01\x00\x00\x01\xff\xfe", 6));
  TokenFile file(folder / "t.bin", 65536);
  EXPECT_EQ(file.size(), 3);
  EXPECT_EQ(file[1], 256);
  std::vector<int32_t> ids(3);
  file.read(0, ids);
  EXPECT_THAT(ids, ElementsAre(1, 256, 0xfeff));
  ids.resize(2);
  file.read(1, ids);
  EXPECT_THAT(ids, ElementsAre(256, 0xfeff));
}

TEST(TokenFile, OfALargeVocabularyHas32Bits) {
  TemporaryFolder folder;
  std::string bytes;
  append_tokens(bytes, std::vector<int32_t>{1, 65536, 0x12345678}, 0x12345679);
  EXPECT_EQ(bytes, std::string("\1\0\0\0\0\0\1\0\x78\x56\x34\x12", 12));
  write_file(folder / "t.bin", bytes);
  TokenFile file(folder / "t.bin", 0x12345679);
  EXPECT_EQ(file.size(), 3);
  EXPECT_EQ(file[2], 0x12345678);
  file.check_ids();
  EXPECT_EQ(file.bytes(1, 2), bytes.substr(4, 4));
  std::vector<int32_t> ids(2);
  file.read(1, ids);
  EXPECT_THAT(ids, ElementsAre(65536, 0x12345678));
  const TokenFile smaller(folder / "t.bin", 0x12345678);
  EXPECT_THAT(error_of([&] { smaller.check_ids(); }), HasSubstr("token 2 has id 305419896"));
}

// Which is negative to whoever takes 32 bits for signed.
TEST(TokenFile, FindsAnIdOf32BitsThatIsNotInTheVocabulary) {
  TemporaryFolder folder;
  for (size_t bad : {size_t(0), size_t(32768), size_t(99999)}) {
    std::string bytes(400000, '\0');
    bytes[4 * bad + 3] = '\x80';
    write_file(folder / "t.bin", bytes);
    EXPECT_THAT(error_of([&] { TokenFile(folder / "t.bin", 65537).check_ids(); }),
                HasSubstr(fmt::format("t.bin: token {} has id 2147483648", bad)));
  }
}

TEST(TokenFile, RejectsPlacesOutsideTheFile) {
  TemporaryFolder folder;
  write_file(folder / "t.bin", std::string(6, '\0'));
  TokenFile file(folder / "t.bin", 1);
  std::vector<int32_t> two(2);
  for (int64_t begin : {int64_t(-1), int64_t(2), int64_t(3), INT64_MAX - 1})
    EXPECT_THAT(error_of([&] { file.read(begin, two); }),
                AllOf(HasSubstr("t.bin"), HasSubstr("it has 3")));
  EXPECT_NE(error_of([&] { file[3]; }), "");
  EXPECT_NE(error_of([&] { file[-1]; }), "");
  file.read(3, {});
}

TEST(TokenFile, NamesTheFileThePlaceAndTheIdThatIsNotInTheVocabulary) {
  TemporaryFolder folder;
  write_file(folder / "t.bin", std::string("\x01\x00\x02\x00\x05\x00\x09\x00", 8));
  TokenFile file(folder / "t.bin", 5);
  EXPECT_EQ(file[1], 2);
  std::vector<int32_t> ids(3);
  EXPECT_THAT(error_of([&] { file.read(1, ids); }),
              AllOf(HasSubstr("t.bin: token 2 has id 5"), HasSubstr("0 to 4")));
}

TEST(TokenFile, FindsTheFirstIdThatIsNotInTheVocabularyWhereverItIs) {
  TemporaryFolder folder;
  const size_t tokens = 200000;
  for (size_t bad : {size_t(0), size_t(1), size_t(32767), size_t(32768), tokens - 1}) {
    std::string bytes;
    for (size_t i = 0; i < tokens; ++i) bytes += {char(i % 251), char(i % 2)};
    bytes[2 * bad] = 0;
    bytes[2 * bad + 1] = '\x80';  // 32768: negative to whoever takes 16 bits for signed
    write_file(folder / "t.bin", bytes);
    EXPECT_THAT(error_of([&] { TokenFile(folder / "t.bin", 507).check_ids(); }),
                HasSubstr(fmt::format("t.bin: token {} has id 32768", bad)));
    TokenFile(folder / "t.bin", 32769).check_ids();
  }
}

// 1 GB that takes no disk: its samples alone are looked at.
TEST(TokenFile, OfALargeFileChecksSamples) {
  TemporaryFolder folder;
  write_file(folder / "t.bin", "");
  if (truncate((folder / "t.bin").c_str(), 1 << 30) != 0)
    GTEST_SKIP() << "the temporary folder's file system holds no sparse file of 1 GB";
  TokenFile(folder / "t.bin", 1).check_ids();
  FileDescriptor file(open((folder / "t.bin").c_str(), O_WRONLY));
  EXPECT_EQ(pwrite(file.get(), "\1", 1, 1 << 29 | 1 << 20),
            1);  // between two samples: found when it is read
  TokenFile(folder / "t.bin", 1).check_ids();
  EXPECT_EQ(pwrite(file.get(), "\1", 1, (1 << 30) - 2), 1);
  EXPECT_THAT(error_of([&] { TokenFile(folder / "t.bin", 1).check_ids(); }),
              HasSubstr("token 536870911 has id 1"));
}

TEST(TokenFile, RejectsAnOddSizeAndAMissingFile) {
  TemporaryFolder folder;
  write_file(folder / "t.bin", "abc");
  EXPECT_THAT(error_of([&] { TokenFile(folder / "t.bin", 5); }),
              AllOf(HasSubstr("t.bin: 3 bytes"), HasSubstr("16-bit")));
  write_file(folder / "t.bin", "abcdef");
  EXPECT_THAT(error_of([&] { TokenFile(folder / "t.bin", 65537); }),
              AllOf(HasSubstr("t.bin: 6 bytes"), HasSubstr("32-bit"), HasSubstr("65537")));
  EXPECT_THAT(error_of([&] { TokenFile(folder / "u.bin", 5); }), HasSubstr("No such file"));
}

// 1 TB that takes no disk: far more than memory, and than 32-bit positions.
TEST(TokenFile, MayBeLargerThanMemory) {
  TemporaryFolder folder;
  write_file(folder / "t.bin", "");
  off_t bytes = off_t(1) << 40;
  if (truncate((folder / "t.bin").c_str(), bytes) != 0)
    GTEST_SKIP() << "the temporary folder's file system holds no sparse file of 1 TB";
  TokenFile file(folder / "t.bin", 1);
  EXPECT_EQ(file.size(), bytes / 2);
  EXPECT_EQ(file[bytes / 2 - 1], 0);
}

}  // namespace
}  // namespace folio

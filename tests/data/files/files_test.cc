#include "data/files/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files/mapped_file.h"
#include "data/files/sha256.h"
#include "tests/data/file_size_limit.h"
#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

size_t entries(const TemporaryFolder& folder) {
  std::filesystem::directory_iterator begin(folder.path());
  return size_t(std::distance(begin, {}));
}

TEST(Files, WhatIsWrittenIsRead) {
  TemporaryFolder folder;
  std::string bytes(200000, 'x');
  bytes[70000] = '\0';
  write_file(folder / "a", bytes);
  EXPECT_EQ(read_file(folder / "a"), bytes);
  EXPECT_EQ(MappedFile(folder / "a").bytes(), bytes);
  write_file(folder / "a", "");
  EXPECT_EQ(read_file(folder / "a"), "");
  EXPECT_EQ(MappedFile(folder / "a").bytes(), "");
  EXPECT_EQ(entries(folder), 1u);
}

TEST(Files, ErrorsNameThePathAndTheReason) {
  TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_file(folder / "none"); }),
              AllOf(HasSubstr(folder / "none"), HasSubstr("No such file")));
  EXPECT_THAT(error_of([&] { MappedFile(folder / "none"); }), HasSubstr("No such file"));
  EXPECT_THAT(error_of([&] { MappedFile{folder.path()}; }), HasSubstr("regular file"));
  EXPECT_THAT(error_of([&] { write_file(folder / "no/a", "x"); }),
              AllOf(HasSubstr(folder / "no/a"), HasSubstr("No such file")));
}

TEST(Files, AFullDiskLeavesTheOldFile) {
  TemporaryFolder folder;
  write_file(folder / "a", "old");
  {
    FileSizeLimit limit(1000);
    EXPECT_THAT(error_of([&] { write_file(folder / "a", std::string(2000, 'x')); }),
                AllOf(HasSubstr(folder / "a"), HasSubstr("File too large")));
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(entries(folder), 1u);
}

TEST(Sha256, KnownDigests) {  // FIPS 180-4's examples
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 million;
  for (int i = 0; i < 1000; ++i) million.update(std::string(1000, 'a'));
  million.digest();  // looking does not end it
  EXPECT_EQ(hex(million.digest()),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace folio

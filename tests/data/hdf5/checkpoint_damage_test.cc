// Files that are damaged, and saves that fail: what is there is refused or stays.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "tests/data/hdf5/checkpoint_fixture.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf, testing::HasSubstr, testing::Not;

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

}  // namespace
}  // namespace folio

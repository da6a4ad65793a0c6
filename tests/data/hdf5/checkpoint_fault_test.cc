// Every system call of a save or a load fails once, or from some call on.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <unistd.h>

#include "data/hdf5/driver.h"
#include "data/hdf5/handle.h"
#include "tests/data/failing_calls.h"
#include "tests/data/file_size_limit.h"
#include "tests/data/hdf5/checkpoint_fixture.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf, testing::HasSubstr, testing::StartsWith;
using Then = FailingCalls::Then;

// Enough tensors, groups and attributes for metadata of many kinds, and of more than one block.
CheckpointFile many() {
  CheckpointFile file = small();
  for (int i = 0; i < 60; ++i) {
    std::string name = fmt::format("transformer.h.{}.mlp.c_fc.weight", i);
    file.tensors["model/" + name] = patterned({8, i + 1}, DType::f32);
    file.tensors["adamw/m/" + name] = patterned({8, i + 1}, DType::bf16);
    file.attributes[fmt::format("option/{}", i)] = std::string(size_t(i) * 20, 'o');
  }
  return file;
}

ssize_t objects_open() { return H5Fget_obj_count(hid_t(H5F_OBJ_ALL), H5F_OBJ_ALL); }

// Calls that `run` makes.
template <class Run>
int calls_of(Run&& run) {
  FailingCalls watch(0, 0);
  run();
  return watch.made();
}

class CheckpointFault : public CheckpointFileTest {
 protected:
  // Fails call `first` of save(path, file); the old content or, with the file renamed already, the
  // new one is whole.
  void expect_safe_save(const CheckpointFile& old, const CheckpointFile& file, int first, int error,
                        Then then) {
    save(path, old);
    std::string message;
    {
      FailingCalls failing(first, error, then);
      message = error_of([&] { save(path, file); });
    }
    ASSERT_EQ(objects_open(), 0);
    if (!message.empty()) {
      ASSERT_THAT(message, AllOf(StartsWith(path.string()), HasSubstr(strerror(error))));
    }
    bool saved = message.empty() || message.find("written, but") != message.npos;
    expect_same(load(path), saved ? file : old);
    ASSERT_EQ(files().size(), 1u) << message;
  }
};

TEST_F(CheckpointFault, ASaveWhoseEveryCallFailsInTurnLeavesTheOldFileAndNothingOpen) {
  CheckpointFile old = small(), file = many();
  int calls = calls_of([&] { save(path, file); });
  ASSERT_GT(calls, 20);
  int told = 0;
  for (int first = 1; first <= calls; ++first) {
    SCOPED_TRACE(first);
    for (auto [error, then] : {std::pair{ENOSPC, Then::once},
                               {EIO, Then::once},
                               {EDQUOT, Then::from_then_on},
                               {EIO, Then::from_then_on}})
      ASSERT_NO_FATAL_FAILURE(expect_safe_save(old, file, first, error, then));
    FailingCalls failing(first, EIO);
    told += !error_of([&] { save(path, file); }).empty();
  }
  EXPECT_GE(told, calls - 2) << "only a lock that is not to be had, here or by others, is no error";
}

TEST_F(CheckpointFault, ALoadWhoseEveryCallFailsInTurnSaysSoAndLeavesNothingOpen) {
  CheckpointFile file = many();
  save(path, file);
  int calls = calls_of([&] { load(path); });
  ASSERT_GT(calls, 20);
  for (int first = 1; first <= calls; ++first) {
    SCOPED_TRACE(first);
    for (Then then : {Then::once, Then::from_then_on}) {
      std::string message;
      {
        FailingCalls failing(first, EIO, then);
        message = error_of([&] { load(path); });
      }
      ASSERT_THAT(message, AllOf(StartsWith(path.string()), HasSubstr(strerror(EIO))));
      ASSERT_EQ(objects_open(), 0);
    }
  }
  expect_same(load(path), file);
}

// Calls of both that a signal interrupts are made again.
TEST_F(CheckpointFault, AnInterruptedCallIsNoFailure) {
  CheckpointFile file = many();
  int calls = calls_of([&] { save(path, file); });
  for (int first = 1; first <= calls; ++first) {
    SCOPED_TRACE(first);
    FailingCalls interrupted(first, EINTR);
    ASSERT_EQ(error_of([&] { save(path, file); }), "");
  }
  calls = calls_of([&] { load(path); });
  for (int first = 1; first <= calls; ++first) {
    SCOPED_TRACE(first);
    FailingCalls interrupted(first, EINTR);
    ASSERT_EQ(error_of([&] { load(path); }), "");
  }
  expect_same(load(path), file);
  ASSERT_EQ(files().size(), 1u);
}

// A disk that is full from some byte on, inside any of the writes.
TEST_F(CheckpointFault, AFullDiskAtAnySizeLeavesTheOldFileAndNothingOpen) {
  CheckpointFile old = small(), file = many();
  save(path, file);
  auto size = rlim_t(fs::file_size(path));
  save(path, old);
  for (rlim_t limit = 0; limit < size; limit += 97) {
    SCOPED_TRACE(limit);
    std::string message;
    {
      FileSizeLimit full(limit);
      message = error_of([&] { save(path, file); });
    }
    ASSERT_THAT(message, AllOf(StartsWith(path.string()), HasSubstr("File too large")));
    ASSERT_EQ(objects_open(), 0);
  }
  expect_same(load(path), old);
  save(path, file);
  expect_same(load(path), file);
}

// Metadata that HDF5 wants back after it could not be written: here each group's, once it is
// closed.
TEST_F(CheckpointFault, WhatCouldNotBeWrittenIsReadAgain) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0666);
  Hdf5Channel channel{fd};
  {
    Hdf5Session session;
    Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), "access");
    ASSERT_GE(set_channel(access, channel), 0);
    ASSERT_GE(H5Pset_evict_on_close(access, true), 0);
    Hdf5Handle file(H5Fcreate("test", H5F_ACC_TRUNC, H5P_DEFAULT, access), "file");
    FailingCalls full(1, ENOSPC, Then::from_then_on);
    for (const char* name : {"/a", "/a/b", "/a/c", "/d"})
      Hdf5Handle(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), name);
    ASSERT_GE(H5Fflush(file, H5F_SCOPE_LOCAL), 0);
    for (const char* name : {"/a", "/a/b", "/a/c", "/d"})
      Hdf5Handle(H5Gopen2(file, name, H5P_DEFAULT), name);
    for (const char* name : {"/a", "/a/b", "/a/c", "/d"})
      Hdf5Handle(H5Gopen2(file, name, H5P_DEFAULT), name);
    file.close("file");
  }
  close(fd);
  EXPECT_EQ(channel.error, ENOSPC);
  EXPECT_EQ(objects_open(), 0);
}

}  // namespace
}  // namespace folio

#include "data/files/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "core/backend.h"
#include "core/parallel.h"
#include "data/dataset/token_file.h"
#include "data/safetensors/safetensors.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

const auto page = size_t(sysconf(_SC_PAGESIZE));

size_t zeros_in(std::string_view bytes) { return size_t(std::ranges::count(bytes, '\0')); }

void shrink(const std::string& path, size_t bytes) { std::filesystem::resize_file(path, bytes); }

TEST(MappedFile, ThatBecomesShorterReadsAsZerosFromThereOnAndIsAnError) {
  TemporaryFolder folder;
  std::string path = folder / "a";
  write_file(path, std::string(10 * page, 'x'));
  MappedFile file(path), same(path);
  file.check_whole();
  shrink(path, 3 * page);
  EXPECT_EQ(zeros_in(file.bytes()), 7 * page);
  EXPECT_EQ(same.bytes()[10 * page - 1], '\0');
  for (const MappedFile* each : {&file, &same})
    EXPECT_THAT(message_of([&] { each->check_whole(); }),
                AllOf(StartsWith(path + ": became shorter"),
                      HasSubstr(fmt::format("{} bytes instead of {}", 3 * page, 10 * page))));
}

// The rest of its last page reads as zeros without a fault.
TEST(MappedFile, ThatLosesAByteOfItsLastPageIsAnError) {
  TemporaryFolder folder;
  write_file(folder / "a", std::string(page, 'x'));
  MappedFile file(folder / "a");
  shrink(folder / "a", page - 1);
  EXPECT_EQ(zeros_in(file.bytes()), 1u);
  EXPECT_THAT(message_of([&] { file.check_whole(); }), HasSubstr("became shorter"));
}

TEST(MappedFile, ThatWasShorterWhileItWasReadIsAnErrorThoughItHasItsSizeAgain) {
  TemporaryFolder folder;
  write_file(folder / "a", std::string(2 * page, 'x'));
  MappedFile file(folder / "a");
  shrink(folder / "a", 0);
  EXPECT_EQ(zeros_in(file.bytes()), 2 * page);
  shrink(folder / "a", 2 * page);
  EXPECT_THAT(message_of([&] { file.check_whole(); }), HasSubstr("shorter for a while"));
  EXPECT_THAT(message_of([&] { check_mapped_files(); }), StartsWith(folder / "a"));
}

TEST(MappedFile, ThatGrowsOrIsReplacedOrRemovedIsReadAsItWas) {
  TemporaryFolder folder;
  write_file(folder / "a", std::string(2 * page, 'x'));
  MappedFile file(folder / "a");
  shrink(folder / "a", 3 * page);
  EXPECT_EQ(zeros_in(file.bytes()), 0u);
  file.check_whole();
  write_file(folder / "a", "short");
  std::filesystem::remove(folder / "a");
  EXPECT_EQ(zeros_in(file.bytes()), 0u);
  file.check_whole();
}

// Whichever thread of a parallel loop meets the missing page.
TEST(MappedFile, MayBeReadByEveryThreadOfALoop) {
  TemporaryFolder folder;
  constexpr int64_t pages = 64;
  write_file(folder / "a", std::string(pages * page, 'x'));
  set_parallel_threads(4);
  for (int round = 0; round < 20; ++round) {
    shrink(folder / "a", pages * page);
    MappedFile file(folder / "a");
    shrink(folder / "a", 0);
    std::vector<size_t> zeros(pages);
    parallel_for(pages, [&](int64_t i) {
      zeros[size_t(i)] = zeros_in(file.bytes().substr(size_t(i) * page, page));
    });
    EXPECT_EQ(zeros, std::vector<size_t>(pages, page));
    EXPECT_NE(error_of([&] { file.check_whole(); }), "");
  }
  set_parallel_threads(0);
}

TEST(MappedFile, LeavesItsPlaceToTheNextOne) {
  TemporaryFolder folder;
  write_file(folder / "a", std::string(page, 'x'));
  {
    MappedFile file(folder / "a");
    shrink(folder / "a", 0);
    EXPECT_EQ(zeros_in(file.bytes()), page);
  }
  check_mapped_files();
  write_file(folder / "a", std::string(page, 'x'));
  MappedFile file(folder / "a"), moved(std::move(file));
  EXPECT_EQ(zeros_in(moved.bytes()), 0u);
  moved.check_whole();
  check_mapped_files();
}

bool ended_badly(int status) { return !WIFEXITED(status) || WEXITSTATUS(status) != 0; }

// A SIGBUS from elsewhere ends the process, as ever.
TEST(MappedFileDeathTest, FaultsElsewhereAndSignalsArePassedOn) {
  TemporaryFolder folder;
  write_file(folder / "a", std::string(page, 'x'));
  EXPECT_EXIT(
      {
        MappedFile watched(folder / "a");
        raise(SIGBUS);
      },
      ended_badly, "");
  EXPECT_EXIT(
      {
        MappedFile watched(folder / "a");
        FileDescriptor file = open_file(folder / "a", O_RDONLY);
        void* other = mmap(nullptr, page, PROT_READ, MAP_PRIVATE, file.get(), 0);
        shrink(folder / "a", 0);
        _exit(*static_cast<volatile const char*>(other));
      },
      ended_badly, "");
}

// Readers

TEST(MappedFile, OfTokensThatBecomesShorterGivesNoBatchOfZeros) {
  TemporaryFolder folder;
  std::string path = folder / "train.bin", token("\x05\x00", 2), tokens;
  for (size_t i = 0; i < 3 * page; ++i) tokens += token;
  write_file(path, tokens);
  TokenFile file(path, 10);
  EXPECT_EQ(file[0], 5);
  shrink(path, page + 2);
  std::vector<int32_t> ids(4);
  EXPECT_THAT(message_of([&] { file.read(int64_t(2 * page), ids); }),
              AllOf(StartsWith(path), HasSubstr("became shorter")));
  EXPECT_THAT(message_of([&] { file.read(0, ids); }), HasSubstr("became shorter"));
}

TEST(MappedFile, OfWeightsThatBecomesShorterIsAnErrorOfWhoeverReadsThem) {
  TemporaryFolder folder;
  std::string path = folder / "model.safetensors";
  auto write = [&](DType dtype, int64_t count) {
    write_safetensors(path,
                      {{.name = "w",
                        .dtype = dtype,
                        .shape = {count},
                        .make =
                            [=] {
                              Array ones({count}, dtype, test_device());
                              backend(ones)->elementwise.fill(ones, 1);
                              return ones;
                            }}},
                      {});
  };
  write(DType::f32, int64_t(4 * page));
  Safetensors mapped(path);
  shrink(path, page);
  Array weights = mapped.tensor("w");
  EXPECT_EQ(to_vector<float>(weights).back(), 0);
  EXPECT_THAT(message_of([&] { check_mapped_files(); }),
              AllOf(StartsWith(path), HasSubstr("became shorter")));
}

TEST(MappedFile, OfATextThatBecomesShorterMakesNoDataset) {
  TemporaryFolder folder;
  std::string path = folder / "text";
  write_file(path, std::string(4 * page, 'a') + std::string(4 * page, 'b'));
  MappedFile text(path);
  shrink(path, 6 * page);
  // What zeros make of the reader comes second.
  EXPECT_THAT(message_of([&] {
                text.read([](std::string_view bytes) { check(zeros_in(bytes) == 0, "a zero"); });
              }),
              AllOf(StartsWith(path), HasSubstr("became shorter")));
  EXPECT_THAT(message_of([&] { text.read([](std::string_view) { return 1; }); }),
              HasSubstr("became shorter"));
}

}  // namespace
}  // namespace folio

#include "core/devices/allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "core/array.h"
#include "core/backend.h"
#include "core/process/memory_limit.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

constexpr size_t MiB = size_t(1) << 20;

// 256 MiB of address space.
class TestPages final : public Pages {
 public:
  TestPages()
      : base_(static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {}
  ~TestPages() override { munmap(base_, bytes); }
  char* base() const override { return base_; }
  size_t limit() const override { return bytes; }
  std::string grow(size_t end) override { return end <= bytes ? "" : "no more pages"; }

 private:
  static constexpr size_t bytes = 256 * MiB;
  char* base_;
};

struct TestAllocator : CachingAllocator {
  TestAllocator() : CachingAllocator(std::make_unique<TestPages>()) {}
};

TEST(CachingAllocator, GivesAlignedWritableDistinctBlocks) {
  TestAllocator allocator;
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t bytes : {0, 1, 63, 64, 65, 1000, 1 << 20}) {
    auto* block = static_cast<char*>(allocator.allocate(bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    std::memset(block, int(blocks.size()), bytes);
    blocks.push_back({block, bytes});
  }
  for (size_t i = 0; i < blocks.size(); ++i)
    for (size_t k = 0; k < blocks[i].second; ++k) ASSERT_EQ(blocks[i].first[k], char(i));
  for (auto [block, bytes] : blocks) allocator.free(block);
  EXPECT_EQ(allocator.use().live, 0u);
}

TEST(CachingAllocator, CountsLiveAndPeakBytes) {
  TestAllocator allocator;
  void* a = allocator.allocate(10 * MiB);
  const size_t one = allocator.use().live;
  EXPECT_GE(one, 10 * MiB);
  EXPECT_LE(one, 10 * MiB + 4096);
  void* b = allocator.allocate(20 * MiB);
  const size_t both = allocator.use().live;
  allocator.free(a);
  allocator.free(b);
  EXPECT_EQ(allocator.use().live, 0u);
  EXPECT_EQ(allocator.use().peak, both);
  EXPECT_GE(allocator.use().reserved, both);
}

TEST(CachingAllocator, MergesNeighboursInAnyOrderOfFreeing) {
  for (std::vector<int> order :
       {std::vector{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}}) {
    TestAllocator allocator;
    void* blocks[3];
    for (void*& block : blocks) block = allocator.allocate(4 * MiB);
    void* end = allocator.allocate(64);
    const size_t reserved = allocator.use().reserved;
    for (int i : order) allocator.free(blocks[i]);
    EXPECT_EQ(allocator.allocate(12 * MiB), blocks[0]);  // fits only in all three together
    EXPECT_EQ(allocator.use().reserved, reserved);
    allocator.free(end);
  }
}

TEST(CachingAllocator, TakesTheSmallestBlockThatFits) {
  TestAllocator allocator;
  void* large = allocator.allocate(8 * MiB);
  void* wall = allocator.allocate(64);
  void* small = allocator.allocate(2 * MiB);
  void* last = allocator.allocate(64);
  allocator.free(large);
  allocator.free(small);
  EXPECT_EQ(allocator.allocate(2 * MiB), small);
  EXPECT_EQ(allocator.allocate(8 * MiB), large);
  allocator.free(wall);
  allocator.free(last);
}

TEST(CachingAllocator, GrowsInsideAFreeLastBlock) {
  TestAllocator allocator;
  void* a = allocator.allocate(4 * MiB);
  allocator.free(a);
  EXPECT_EQ(allocator.allocate(8 * MiB), a);
}

TEST(CachingAllocator, ForgetsItsPeakWhenAsked) {
  TestAllocator allocator;
  void* small = allocator.allocate(4 * MiB);
  allocator.free(allocator.allocate(8 * MiB));
  EXPECT_GE(allocator.use().peak, 12 * MiB);
  allocator.forget_peak();
  EXPECT_EQ(allocator.use().peak, allocator.use().live);
  allocator.free(small);
}

TEST(CachingAllocator, IsAsItWasWhenThePagesCannotGrow) {
  TestAllocator allocator;
  void* block = allocator.allocate(100 * MiB);
  const size_t live = allocator.use().live;
  for (size_t bytes : {157 * MiB, 256 * MiB, 257 * MiB, SIZE_MAX - 10, SIZE_MAX})
    EXPECT_THAT(message_of([&] { allocator.allocate(bytes); }),
                testing::AllOf(testing::HasSubstr(std::to_string(bytes)),
                               testing::HasSubstr(std::to_string(live)),
                               testing::HasSubstr("no more pages")));
  EXPECT_EQ(allocator.use().live, live);
  EXPECT_EQ(allocator.allocate(100 * MiB), static_cast<char*>(block) + live);
}

// Without touching any of it, and it goes on afterwards.
TEST(CpuMemory, RefusesMoreThanThereIs) {
  const size_t live = backend(cpu)->memory.use().live, limit = backend(cpu)->memory.use().limit;
  uint64_t there = free_memory();
  ASSERT_LT(there, limit) << "of 16 TB of address space";
  EXPECT_THAT(message_of([&] { backend(cpu)->memory.allocate(there + there / 8); }),
              testing::AllOf(testing::HasSubstr(std::to_string(there + there / 8)),
                             testing::HasSubstr("left by the machine")));
  for (size_t bytes : {limit, limit + 1, SIZE_MAX - 10, SIZE_MAX})
    EXPECT_THAT(message_of([&] { backend(cpu)->memory.allocate(bytes); }),
                testing::HasSubstr("out of memory"));
  EXPECT_EQ(backend(cpu)->memory.use().live, live);
  backend(cpu)->memory.allocate(MiB);
  EXPECT_LE(backend(cpu)->memory.available(), limit - live);
}

// What a process under a limit of address space sees: nothing that should not be.
bool shares_limited_space() {
  uint64_t used = 0;
  std::ifstream("/proc/self/statm") >> used;
  rlimit limit{used * uint64_t(sysconf(_SC_PAGESIZE)) + 1024 * MiB, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
  size_t arrays = backend(cpu)->memory.use().limit;
  std::string message = error_of([&] { backend(cpu)->memory.allocate(800 * MiB); });
  void* rest = std::malloc(150 * MiB);
  bool whole = rest && backend(cpu)->memory.allocate(600 * MiB);
  std::free(rest);
  return whole && arrays > 700 * MiB && arrays < 800 * MiB &&
         message.find("ulimit -v") != message.npos;
}

TEST(CpuMemoryDeathTest, UnderALimitOfAddressSpaceLeavesSomeForTheRest) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take terabytes of address space";
#endif
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process that has used no Array yet
  EXPECT_EXIT(_exit(shares_limited_space() ? 7 : 1), testing::ExitedWithCode(7), "");
}

// A training step asks for the same blocks in the same order, every time.
TEST(CachingAllocator, AsksForNothingAfterTheFirstRepetition) {
  TestAllocator allocator;
  auto repetition = [&] {
    std::mt19937 random(1);
    std::vector<void*> live;
    for (int i = 0; i < 2000; ++i) {
      if (live.size() > 20 || (!live.empty() && random() % 3 == 0)) {
        const size_t at = random() % live.size();
        allocator.free(live[at]);
        live.erase(live.begin() + long(at));
      } else {
        live.push_back(allocator.allocate(random() % (1 << 20)));
      }
    }
    for (void* block : live) allocator.free(block);
    return allocator.use().reserved;
  };
  const size_t first = repetition();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(repetition(), first);
}

TEST(CachingAllocator, ServesSeveralThreads) {
  TestAllocator allocator;
  std::vector<std::thread> threads;
  std::vector<int> clashes(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const size_t bytes = size_t(64 + 37 * (i % 50));
        auto* block = static_cast<char*>(allocator.allocate(bytes));
        std::memset(block, t, bytes);
        for (size_t k = 0; k < bytes; k += 13) clashes[size_t(t)] += block[k] != char(t);
        allocator.free(block);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(clashes, std::vector<int>(4, 0));
  EXPECT_EQ(allocator.use().live, 0u);
}

TEST(Memory, ArraysGiveTheirMemoryBack) {
  const size_t before = test_backend()->memory.use().live;
  {
    Array x({1000, 1000}, DType::f32, test_device());
    Array view = x.slice(10, 20);
    x = {};
    EXPECT_GE(test_backend()->memory.use().live, before + 4000000);  // the view holds it
  }
  EXPECT_EQ(test_backend()->memory.use().live, before);
}

}  // namespace
}  // namespace folio

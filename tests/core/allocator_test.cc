#include "core/allocator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "core/array.h"

namespace folio {
namespace {

constexpr size_t MiB = size_t(1) << 20;

TEST(CachingAllocator, GivesAlignedWritableDistinctBlocks) {
  CachingAllocator allocator;
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
  CachingAllocator allocator;
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
    CachingAllocator allocator;
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
  CachingAllocator allocator;
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
  CachingAllocator allocator;
  void* a = allocator.allocate(4 * MiB);
  allocator.free(a);
  EXPECT_EQ(allocator.allocate(8 * MiB), a);
}

// A training step asks for the same blocks in the same order, every time.
TEST(CachingAllocator, AsksForNothingAfterTheFirstRepetition) {
  CachingAllocator allocator;
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
  CachingAllocator allocator;
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

TEST(CachingAllocator, ArraysGiveTheirMemoryBack) {
  const size_t before = backend(cpu).memory().live;
  {
    Array x({1000, 1000}, DType::f32);
    Array view = x.slice(10, 20);
    x = {};
    EXPECT_GE(backend(cpu).memory().live, before + 4000000);  // the view holds it
  }
  EXPECT_EQ(backend(cpu).memory().live, before);
}

}  // namespace
}  // namespace folio

#include "data/dataset/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/backend.h"
#include "data/files/files.h"
#include "tests/data/temporary_folder.h"
#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Token i of the file is i.
class Batches : public testing::Test {
 protected:
  TokenFile counting(int64_t tokens) {
    std::string bytes;
    for (int64_t i = 0; i < tokens; ++i) {
      bytes += char(i & 0xff);
      bytes += char(i >> 8);
    }
    write_file(folder_ / "train.bin", bytes);
    return TokenFile(folder_ / "train.bin", 65535);
  }
  TemporaryFolder folder_;
};

TEST_F(Batches, YIsXShiftedByOne) {
  TokenFile tokens = counting(1000);
  Batch batch = BatchSampler(tokens, {7, 0}).next(5, 12, test_device());
  EXPECT_EQ(batch.x.shape(), (Shape{5, 12}));
  EXPECT_EQ(batch.y.shape(), (Shape{5, 12}));
  auto x = to_vector<int32_t>(batch.x), y = to_vector<int32_t>(batch.y);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x[i], x[i / 12 * 12] + int32_t(i % 12));
    EXPECT_EQ(y[i], x[i] + 1);
  }
}

TEST_F(Batches, StartsAreAllPlacesWithABlockAndItsTargets) {
  TokenFile tokens = counting(12);
  BatchSampler sampler(tokens, {1, 0});
  std::set<int32_t> starts;
  for (int i = 0; i < 20; ++i) {
    auto x = to_vector<int32_t>(sampler.next(10, 8, test_device()).x);
    for (size_t row = 0; row < 10; ++row) starts.insert(x[row * 8]);
  }
  EXPECT_EQ(starts, (std::set<int32_t>{0, 1, 2, 3}));
}

TEST_F(Batches, PlaceIsTheWholeState) {
  TokenFile tokens = counting(5000);
  BatchSampler a(tokens, {3, 0}), b(tokens, {4, 9});
  a.next(4, 8, test_device());
  b.set_place(a.place());
  auto next = to_vector<int32_t>(a.next(4, 8, test_device()).x);
  EXPECT_EQ(to_vector<int32_t>(b.next(4, 8, test_device()).x), next);
  EXPECT_EQ(a.place().generator.drawn, 2u);
  EXPECT_NE(to_vector<int32_t>(a.next(4, 8, test_device()).x), next);
  EXPECT_NE(to_vector<int32_t>(BatchSampler(tokens, {5, 1}).next(4, 8, test_device()).x),
            next);  // another seed
}

// From the epoch's start on, of tokens that are their own places: each window of 8 once.
TEST_F(Batches, EachWindowComesOnceAnEpoch) {
  TokenFile tokens = counting(1000);
  BatchSampler sampler(tokens, {1, 0}, BatchOrder::epochs);
  std::set<int32_t> cuts;
  std::set<std::vector<int32_t>> orders;
  for (uint64_t epoch = 1; epoch <= 40; ++epoch) {
    std::vector<int32_t> starts;
    do starts.push_back(to_vector<int32_t>(sampler.next(1, 8, test_device()).x).front());
    while (sampler.place().taken > 0);
    EXPECT_EQ(sampler.place().generator.drawn, epoch);
    orders.insert(starts);
    std::ranges::sort(starts);
    const int32_t first = starts.front();
    EXPECT_LT(first, 8);
    for (size_t i = 0; i < starts.size(); ++i) EXPECT_EQ(starts[i], first + 8 * int32_t(i));
    EXPECT_GE(starts.back() + 8, 1000 - 8);  // the next would lack a target
    EXPECT_LE(starts.back() + 8, 999);
    cuts.insert(first);
  }
  EXPECT_EQ(cuts.size(), 8u);
  EXPECT_EQ(orders.size(), 40u);
}

TEST_F(Batches, AnEpochEndsWithinABatchAndGoesOnFromItsPlace) {
  TokenFile tokens = counting(100);
  BatchSampler whole(tokens, {5, 0}, BatchOrder::epochs), other(tokens, {6, 3}, BatchOrder::epochs);
  std::vector<int32_t> rows;
  for (int i = 0; i < 10; ++i)
    for (int32_t id : to_vector<int32_t>(whole.next(7, 4, test_device()).x)) rows.push_back(id);
  BatchSampler again(tokens, {5, 0}, BatchOrder::epochs);
  for (int i = 0; i < 10; ++i) {
    other.set_place(again.place());
    const auto next = to_vector<int32_t>(again.next(7, 4, test_device()).x);
    EXPECT_EQ(to_vector<int32_t>(other.next(7, 4, test_device()).x), next);
    EXPECT_TRUE(std::equal(next.begin(), next.end(), rows.begin() + i * 28));
  }
  EXPECT_EQ(again.place().generator.drawn, 3u);  // 70 windows, 24 of each
}

// A text that has become shorter has no window with the old number.
TEST_F(Batches, APlaceBehindTheEndBeginsAnEpoch) {
  TokenFile tokens = counting(50);
  BatchSampler sampler(tokens, {5, 0}, BatchOrder::epochs);
  sampler.set_place({.generator = {5, 4}, .taken = 1000});
  sampler.next(1, 4, test_device());
  EXPECT_EQ(sampler.place().generator.drawn, 5u);
  EXPECT_EQ(sampler.place().taken, 1);
}

TEST_F(Batches, ATextOfOneWindowIsThatWindow) {
  TokenFile tokens = counting(9);
  BatchSampler sampler(tokens, {5, 0}, BatchOrder::epochs);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(to_vector<int32_t>(sampler.next(1, 8, test_device()).x).front(), 0);
}

TEST_F(Batches, RejectsASplitThatIsNotLongerThanABlock) {
  TokenFile tokens = counting(8);
  BatchSampler sampler(tokens, {1, 0});
  EXPECT_THAT(error_of([&] { sampler.next(1, 8, test_device()); }),
              AllOf(HasSubstr("train.bin"), HasSubstr("8 tokens"), HasSubstr("block_size = 8")));
  EXPECT_EQ(to_vector<int32_t>(sampler.next(1, 7, test_device()).y).back(), 7);
  EXPECT_THAT(error_of([&] { sampler.next(0, 7, test_device()); }), HasSubstr("got 0 and 7"));
  EXPECT_THAT(error_of([&] { sampler.next(1, 0, test_device()); }), HasSubstr("got 1 and 0"));
}

}  // namespace
}  // namespace folio

#include "data/dataset/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

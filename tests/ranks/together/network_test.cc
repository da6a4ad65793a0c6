#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/backend.h"
#include "core/ranks/facts.h"
#include "core/ranks/network_report.h"
#include "tests/message.h"
#include "tests/ranks/together/ranks.h"

namespace folio {
namespace {

TEST(Network, TwoRanksExchangeInTheOrderOfTheirCalls) {
  if (ranks().size() == 1) GTEST_SKIP() << "there is no other rank";
  const int last = ranks().size() - 1;
  std::vector<int64_t> sizes = {1, 300'001, 0, 5};
  std::vector<Pending> pending;
  std::vector<Array> arrays;
  for (int64_t size : sizes) {
    arrays.push_back(full({size}, ranks().rank() == 0 ? double(size) : -1, DType::f32, cpu));
    if (ranks().rank() == 0) pending.push_back(ranks().send(arrays.back(), last));
    if (ranks().rank() == last) pending.push_back(ranks().receive(arrays.back(), 0));
  }
  for (Pending& one : pending) one.wait();
  for (const Array& array : arrays)
    if (ranks().rank() == last) {
      EXPECT_THAT(to_vector<float>(array), testing::Each(float(array.size())));
    }
  EXPECT_THAT(message_of([&] { ranks().send(arrays[0], ranks().rank()); }),
              testing::HasSubstr(" is not another one of the "));
}

TEST(Network, EveryRankHasTheSameReport) {
  if (ranks().size() == 1) GTEST_SKIP() << "there is no network";
  NetworkReport report = measure_network(ranks());
  const int n = ranks().size();
  EXPECT_GT(report.seconds, 0);
  EXPECT_GT(report.latency, 0);
  EXPECT_DOUBLE_EQ(report.algorithm_bandwidth, double(report.bytes) / report.seconds);
  EXPECT_DOUBLE_EQ(report.bus_bandwidth, report.algorithm_bandwidth * 2 * (n - 1) / n);
  EXPECT_EQ(report.pairs.size(), size_t(n == 2 ? 0 : n * (n - 1) / 2));
  std::string text = fmt::format("{} {} {}", report.bytes, report.seconds, report.latency);
  for (const NetworkReport::Pair& pair : report.pairs) {
    EXPECT_LT(pair.a, pair.b);
    EXPECT_GT(pair.latency, 0);
    EXPECT_GE(pair.bandwidth, report.slowest()->bandwidth);
    EXPECT_LE(pair.bandwidth, report.fastest()->bandwidth);
    text += fmt::format(" {} {} {}", pair.a, pair.b, pair.bandwidth);
  }
  EXPECT_THAT(ranks().gather(text), testing::Each(text));
}

TEST(Ranks, FactsAreThoseOfEachProcess) {
  std::vector<RankFacts> facts = gather_facts(ranks());
  RankFacts mine = this_process();
  ASSERT_EQ(facts.size(), size_t(ranks().size()));
  const RankFacts& told = facts[size_t(ranks().rank())];
  EXPECT_EQ(told.host, mine.host);
  EXPECT_EQ(told.pid, mine.pid);
  EXPECT_EQ(told.cores, mine.cores);
  EXPECT_EQ(told.build, mine.build);
  for (const RankFacts& other : facts) EXPECT_EQ(other.build, mine.build);
  for (size_t rank = 1; rank < facts.size(); ++rank) EXPECT_NE(facts[rank].pid, facts[0].pid);
}

}  // namespace
}  // namespace folio

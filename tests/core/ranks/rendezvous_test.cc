#include "core/ranks/rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>

#include "core/check.h"
#include "tests/message.h"
#include "tests/on_ranks.h"

namespace folio {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

// Variables of the environment, while it lives; null: not set.
class Environment {
 public:
  using Variables = std::vector<std::pair<const char*, const char*>>;
  explicit Environment(const Variables& variables) {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"})
      unsetenv(name);
    for (const auto& [name, value] : variables) setenv(name, value, 1);
    variables_ = variables;
  }
  ~Environment() {
    for (const auto& [name, value] : variables_) unsetenv(name);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  Variables variables_;
};

std::string error_in(const Environment::Variables& variables) {
  const Environment environment(variables);
  return message_of([] { Rendezvous::place_from_environment(); });
}

TEST(Rendezvous, TheEnvironmentSaysWhere) {
  {
    const Environment environment(Environment::Variables{{"MASTER_PORT", "29500"}});
    EXPECT_FALSE(Rendezvous::place_from_environment());
  }
  const Environment::Variables all = {
      {"RANK", "2"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "node7"}, {"MASTER_PORT", "29500"}};
  {
    const Environment environment(all);
    const auto place = Rendezvous::place_from_environment();
    ASSERT_TRUE(place);
    EXPECT_EQ(place->rank, 2);
    EXPECT_EQ(place->size, 4);
    EXPECT_EQ(place->host, "node7");
    EXPECT_EQ(place->port, 29500);
  }
  Environment::Variables with_agent = all;
  with_agent.push_back({"TORCHELASTIC_USE_AGENT_STORE", "True"});
  const Environment environment(with_agent);
  EXPECT_EQ(Rendezvous::place_from_environment()->port, 29501) << "the agent has the other";
}

TEST(Rendezvous, AnEnvironmentThatIsNotWholeIsNamed) {
  EXPECT_THAT(error_in({{"RANK", "0"}}), HasSubstr("WORLD_SIZE is not set"));
  EXPECT_THAT(error_in({{"WORLD_SIZE", "2"}}), HasSubstr("RANK is not set"));
  EXPECT_THAT(error_in({{"WORLD_SIZE", "2"}, {"RANK", "2"}}),
              HasSubstr("RANK=2: expected a number from 0 to 1"));
  for (const char* wrong : {"", "x", "-1", "1x", "99999999999", "1.5"})
    EXPECT_THAT(error_in({{"WORLD_SIZE", "2"}, {"RANK", wrong}}), HasSubstr("expected a number"))
        << wrong;
  EXPECT_THAT(error_in({{"WORLD_SIZE", "2"}, {"RANK", "1"}}), HasSubstr("MASTER_PORT is not set"));
  EXPECT_THAT(error_in({{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_PORT", "70000"}}),
              HasSubstr("MASTER_PORT=70000"));
  EXPECT_THAT(error_in({{"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_PORT", "7000"}}),
              HasSubstr("MASTER_ADDR is not set"));
}

// A rank that another thread is: what it ends with, "" or an Error's message.
template <class Body>
std::future<std::string> rank(int rank, int size, const ReservedPort& port, Body body,
                              seconds timeout = seconds(60)) {
  const Rendezvous::Place place{rank, size, "localhost", port.number()};
  return std::async(std::launch::async, [=] {
    return error_of([&] {
      Rendezvous rendezvous(place, timeout);
      body(rendezvous);
    });
  });
}

void nothing(Rendezvous&) {}

TEST(Rendezvous, OneRankNeedsNobody) {
  Rendezvous alone({0, 1, "", 0}, seconds(1));
  EXPECT_EQ(alone.gather("a"), std::vector<std::string>{"a"});
}

TEST(Rendezvous, WhoDoesNotComeIsNamed) {
  const ReservedPort port;
  auto one = rank(1, 4, port, nothing, seconds(30));
  EXPECT_THAT(rank(0, 4, port, nothing, seconds(1)).get(),
              AllOf(HasSubstr("2 of 4 ranks have not come: 2, 3;"), HasSubstr("after 1 s")));
  EXPECT_THAT(one.get(), HasSubstr("2 of 4 ranks have not come")) << "who came is told";
  EXPECT_THAT(
      rank(1, 2, port, nothing, seconds(1)).get(),
      AllOf(HasSubstr("rank 0 is not to be reached at localhost port"), HasSubstr("MASTER_ADDR")));
}

TEST(Rendezvous, APortThatIsTakenIsNamed) {
  const ReservedPort port;
  const Socket other = Socket::listening(port.number());
  EXPECT_THAT(rank(0, 2, port, nothing).get(),
              AllOf(HasSubstr("cannot listen on port"), HasSubstr("set MASTER_PORT")));
}

TEST(Rendezvous, AllSayTheSameSizeAndNoTwoTheSameRank) {
  const ReservedPort port;
  auto zero = rank(0, 3, port, nothing);
  EXPECT_THAT(rank(1, 2, port, nothing).get(), HasSubstr("WORLD_SIZE is 2 for rank 1"));
  EXPECT_THAT(zero.get(), HasSubstr("WORLD_SIZE is 2 for rank 1"));
  zero = rank(0, 3, port, nothing);
  auto one = rank(1, 3, port, nothing), another = rank(1, 3, port, nothing);
  for (auto* each : {&zero, &one, &another})
    EXPECT_THAT(each->get(), HasSubstr("two processes have RANK=1"));
}

// Whatever else connects: a browser, one that says nothing, one that begins as a rank does.
TEST(Rendezvous, StrangersDoNotTakePart) {
  const ReservedPort port;
  auto zero = rank(0, 2, port, [](Rendezvous& all) {
    EXPECT_EQ(all.gather("0"), (std::vector<std::string>{"0", "1"}));
  });
  const Socket::Deadline deadline = std::chrono::steady_clock::now() + seconds(60);
  std::vector<Socket> strangers;
  for (int i = 0; i < 100; ++i)
    strangers.push_back(Socket::connected("localhost", port.number(), deadline));
  const std::string request =
      "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n" + std::string(100, 'x') + "\r\n\r\n";
  strangers[97].send(request.data(), request.size(), deadline);
  strangers[98].send("folio ranks", 11, deadline);
  strangers[99] = Socket();
  auto one = rank(1, 2, port, [](Rendezvous& all) { all.gather("1"); });
  EXPECT_EQ(one.get(), "");
  EXPECT_EQ(zero.get(), "");
}

// A rank that says more than a rank can.
TEST(Rendezvous, AnAbsurdLengthIsRefusedBeforeMemoryIsTaken) {
  const ReservedPort port;
  auto zero = rank(0, 2, port, nothing);
  const Socket::Deadline deadline = std::chrono::steady_clock::now() + seconds(60);
  Socket liar = Socket::connected("localhost", port.number(), deadline);
  char hello[88] = "folio ranks 1\n";
  const int32_t numbers[2] = {1, 2};
  std::memcpy(hello + 16, numbers, sizeof numbers);
  liar.send(hello, sizeof hello, deadline);
  const uint64_t length = uint64_t{1} << 60;
  liar.send(&length, sizeof length, deadline);
  EXPECT_THAT(zero.get(), HasSubstr("rank 1 of 2 sent what folio does not send"));
  EXPECT_THAT(message_of([] {
                Rendezvous({0, 1, "", 0}, seconds(1)).gather(std::string((64 << 20) + 1, 'x'));
              }),
              HasSubstr("at most"));
}

TEST(Rendezvous, WhatEachGaveIsKnownToAll) {
  on_ranks({2, 5}, [](const Rendezvous::Place& place) {
    Rendezvous rendezvous(place, seconds(60));
    rendezvous.on_lost([&](const std::string& why) { ADD_FAILURE() << why; });
    for (size_t round = 0; round < 3; ++round) {
      auto given = [&](int rank) {
        return std::string(size_t(rank) * round * 700'000, char('a' + rank));
      };
      const std::vector<std::string> all = rendezvous.gather(given(place.rank));
      ASSERT_EQ(int(all.size()), place.size);
      for (int rank = 0; rank < place.size; ++rank)
        EXPECT_EQ(all[size_t(rank)], given(rank)) << rank;
    }
  });  // and to leave is no loss
}

// Rank 1 leaves, then rank 2 gives up: only that is a loss.
TEST(Rendezvous, WhoHasLeftIsNotLost) {
  const ReservedPort port;
  std::promise<void> one_has_left;
  std::promise<std::string> told;
  auto zero = rank(0, 3, port, [&](Rendezvous& all) {
    all.on_lost([&](const std::string& why) { told.set_value(why); });
    EXPECT_THAT(told.get_future().get(), HasSubstr("rank 2 of 3"));
  });
  auto one = rank(1, 3, port, nothing);
  auto two = rank(2, 3, port, [&](Rendezvous&) {
    one_has_left.get_future().wait();
    fail("the disk is full");
  });
  EXPECT_EQ(one.get(), "");
  one_has_left.set_value();
  EXPECT_EQ(two.get(), "the disk is full");
  EXPECT_EQ(zero.get(), "");
}

TEST(Rendezvous, WhoLeavesBeforeTheOthersIsNamed) {
  const ReservedPort port;
  auto zero = rank(0, 2, port, [](Rendezvous& all) { all.gather(""); });
  auto one = rank(1, 2, port, nothing);
  EXPECT_THAT(zero.get(), AllOf(HasSubstr("rank 1 of 2 (on "), HasSubstr(") has left")));
  EXPECT_EQ(one.get(), "");
}

TEST(Rendezvous, ARankThatIsKilledIsNamedByAll) {
  if (const auto place = this_rank()) {
    std::promise<std::string> lost;  // the rendezvous may tell until it ends
    Rendezvous rendezvous(*place, seconds(60));
    rendezvous.on_lost([&](const std::string& why) { lost.set_value(why); });
    if (place->rank == 2) raise(SIGKILL);
    const auto names_it = AllOf(HasSubstr("rank 2 of 4 (on "), HasSubstr(") has ended"));
    if (place->rank == 0) {
      EXPECT_THAT(lost.get_future().get(), names_it);
    }
    EXPECT_THAT(message_of([&] { rendezvous.gather("x"); }), names_it);
    return;
  }
  const std::vector<RankEnd> ends = run_ranks(4);
  for (size_t rank : {0u, 1u, 3u}) EXPECT_TRUE(ends[rank].ok()) << ends[rank].output;
  EXPECT_EQ(ends[2].status, SIGKILL);
}

// Who leaves because of an Error tells the others so.
TEST(Rendezvous, ARankThatGivesUpIsNamedByAll) {
  const ReservedPort port;
  auto zero = rank(0, 3, port, [](Rendezvous& all) { all.gather(""); });
  auto one = rank(1, 3, port, [](Rendezvous& all) { all.gather(""); });
  auto two = rank(2, 3, port, [](Rendezvous&) { fail("the disk is full"); });
  EXPECT_EQ(two.get(), "the disk is full");
  for (auto* other : {&zero, &one})
    EXPECT_THAT(other->get(), AllOf(HasSubstr("rank 2 of 3"), HasSubstr("gave up")));
}

// Rank 0 waits for rank 1, which does something else, when rank 2 goes.
TEST(Rendezvous, ALostRankWakesAllWhateverTheyDo) {
  const ReservedPort port;
  const auto names_it = AllOf(HasSubstr("rank 2 of 3"), HasSubstr("gave up"));
  std::promise<std::string> told;
  auto zero = rank(0, 3, port, [](Rendezvous& all) {
    all.on_lost([](const std::string&) {});
    all.gather("");
  });
  auto one = rank(1, 3, port, [&](Rendezvous& all) {
    all.on_lost([&](const std::string& why) { told.set_value(why); });
    EXPECT_THAT(told.get_future().get(), names_it);
    all.gather("");
  });
  auto two = rank(2, 3, port, [](Rendezvous&) { fail("the disk is full"); });
  for (auto* other : {&zero, &one}) EXPECT_THAT(other->get(), names_it);
}

TEST(Rendezvous, ARankThatHangsIsNamedAfterTheTimeout) {
  const ReservedPort port;
  std::promise<void> others_are_done;
  auto zero = rank(
      0, 3, port, [](Rendezvous& all) { all.gather(""); }, seconds(1));
  auto one = rank(
      1, 3, port, [](Rendezvous& all) { all.gather(""); }, seconds(30));
  auto two = rank(2, 3, port, [&](Rendezvous&) { others_are_done.get_future().wait(); });
  for (auto* other : {&zero, &one})
    EXPECT_THAT(other->get(), AllOf(HasSubstr("rank 2 of 3"), HasSubstr("took no part in time"),
                                    HasSubstr("comm_timeout than 1 s")));
  others_are_done.set_value();
  EXPECT_EQ(two.get(), "");
}

}  // namespace
}  // namespace folio

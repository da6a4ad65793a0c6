// Ranks as threads of one process, with a heartbeat each. How it ends jobs of real processes is
// tested in tests/ranks.
#include "core/ranks/heartbeat/heartbeat.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <barrier>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

#include "core/ranks/heartbeat/meeting.h"
#include "tests/message.h"

namespace folio {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// What becomes of each rank: what it says, and that it leaves.
class Ends {
 public:
  explicit Ends(int ranks) : said_(size_t(ranks)), left_(size_t(ranks)) {}
  Heartbeat::End of(int rank) {
    auto say = [this, rank](const std::string& message) {
      std::lock_guard lock(mutex_);
      said_[size_t(rank)].push_back(message);
    };
    auto leave = [this, rank](bool) {
      std::lock_guard lock(mutex_);
      left_[size_t(rank)] = true;
      changed_.notify_all();
    };
    return {say, leave};
  }
  void wait_until_left(int rank) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return left_[size_t(rank)]; });
  }
  std::vector<std::string> said(int rank) {
    std::lock_guard lock(mutex_);
    return said_[size_t(rank)];
  }
  bool left(int rank) {
    std::lock_guard lock(mutex_);
    return left_[size_t(rank)];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<std::string>> said_;
  std::vector<bool> left_;
};

// A gather among threads.
class Gathering {
 public:
  explicit Gathering(int ranks) : texts_(size_t(ranks)), barrier_(ranks) {}
  Heartbeat::Gather of(int rank) {
    return [this, rank](const std::string& mine) {
      texts_[size_t(rank)] = mine;
      barrier_.arrive_and_wait();
      std::vector<std::string> all = texts_;
      barrier_.arrive_and_wait();
      return all;
    };
  }

 private:
  std::vector<std::string> texts_;
  std::barrier<> barrier_;
};

std::vector<RankFacts> facts_of(int ranks) {
  std::vector<RankFacts> facts;
  for (int rank = 0; rank < ranks; ++rank)
    facts.push_back({"node" + std::to_string(rank), 100 + rank, 1, "aa"});
  return facts;
}

constexpr Heartbeat::Options quick{.beat = 10ms, .timeout = 60s, .collect = 50ms};

// Ranks that have all met.
struct Job {
  explicit Job(int ranks, Heartbeat::Options options = quick) : ends(ranks) {
    Gathering gathering(ranks);
    heartbeats.resize(size_t(ranks));
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank)
      threads.emplace_back([&, rank] {
        heartbeats[size_t(rank)] = std::make_unique<Heartbeat>(
            rank, facts_of(ranks), gathering.of(rank), options, ends.of(rank));
      });
  }
  Ends ends;
  std::vector<std::unique_ptr<Heartbeat>> heartbeats;
};

TEST(Heartbeat, RanksThatSayFarewellTroubleNobody) {
  Job job(4);
  for (int rank : {2, 0, 1, 3}) job.heartbeats[size_t(rank)].reset();
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_THAT(job.ends.said(rank), IsEmpty());
    EXPECT_FALSE(job.ends.left(rank));
  }
}

TEST(Heartbeat, AnErrorEndsAllAndRankZeroSaysIt) {
  for (int failing : {0, 1, 2}) {
    Job job(3);
    job.heartbeats[size_t(failing)]->report("no luck");
    for (int rank = 0; rank < 3; ++rank) job.ends.wait_until_left(rank);
    std::string name = std::to_string(failing);
    EXPECT_THAT(job.ends.said(0), ElementsAre("rank " + name + " on node" + name + " (process 10" +
                                              name + "): no luck"));
    EXPECT_THAT(job.ends.said(1), IsEmpty());
    EXPECT_THAT(job.ends.said(2), IsEmpty());
  }
}

TEST(Heartbeat, WhatAllReportAlikeHasNoName) {
  Heartbeat::Options patient = quick;
  patient.collect = 60s;  // until all have reported
  Job job(3, patient);
  for (auto& heartbeat : job.heartbeats) heartbeat->report("no such file");
  for (int rank = 0; rank < 3; ++rank) job.ends.wait_until_left(rank);
  EXPECT_THAT(job.ends.said(0), ElementsAre("no such file"));
}

TEST(Heartbeat, OfDifferentErrorsTheLowestRanksIsSaid) {
  Heartbeat::Options patient = quick;
  patient.collect = 60s;
  Job job(3, patient);
  job.heartbeats[2]->report("cannot go on");
  job.heartbeats[1]->report("no such file");
  job.heartbeats[0]->report("no such file");
  job.ends.wait_until_left(0);
  EXPECT_THAT(job.ends.said(0), ElementsAre("rank 0 on node0 (process 100): no such file"));
}

// Rank 0 of three: rank 1 it has welcomed, and that does as the test likes; rank 2 never comes.
class Rank0 {
 public:
  explicit Rank0(Heartbeat::Options options = quick) : ends(2) {
    Gathering gathering(2);
    std::jthread thread([&] {
      heartbeat = std::make_unique<Heartbeat>(0, facts_of(3), gathering.of(0), options, ends.of(0));
    });
    invitation = gathering.of(1)("")[0];
    other.emplace(meet(invitation, "1", 60s));
    gathering.of(1)("");
  }
  Ends ends;
  std::string invitation;
  std::unique_ptr<Heartbeat> heartbeat;
  std::optional<Link> other;
};

TEST(Heartbeat, AConnectionThatEndsWithoutAFarewellIsARankThatIsGone) {
  Rank0 first;
  first.other.reset();
  first.ends.wait_until_left(0);
  EXPECT_THAT(first.ends.said(0),
              ElementsAre(StartsWith("rank 1 on node1 (process 101) is gone: ")));
}

TEST(Heartbeat, ARankOfWhichNothingIsHeardIsSilent) {
  Heartbeat::Options options = quick;
  options.timeout = 400ms;
  Rank0 first(options);
  first.ends.wait_until_left(0);
  EXPECT_THAT(first.ends.said(0),
              ElementsAre(AllOf(StartsWith("rank 1 on node1 (process 101) has been silent for "),
                                HasSubstr("the network to node1 is cut"))));
  // Should it go on one day, it finds that it is to leave.
  std::vector<Link::Message> messages = first.other->receive();
  ASSERT_FALSE(messages.empty());
  EXPECT_EQ(messages.back().kind, 'l');
}

TEST(Heartbeat, WhatNoRankWouldSayIsNotHeard) {
  Rank0 first;
  std::istringstream words(first.invitation);
  std::string secret;
  int port = 0;
  words >> secret >> port;
  EXPECT_GE(secret.size(), 32u);
  const std::string header("h\0\0\0\4", 5),
      guess = std::string("h\0\0\0", 4) + char(secret.size() + 2);
  for (const std::string& said :
       {guess + std::string(secret.size(), '0') + " 2", std::string("GET / HTTP/1.1\r\n\r\n"),
        header + "1234", header.substr(0, 3), std::string("e\xff\xff\xff\xff"),
        std::string(10'000, '\0'), std::string("l\0\0\0\0", 5)}) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(uint16_t(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(send(fd, said.data(), said.size(), MSG_NOSIGNAL), ssize_t(said.size()));
    close(fd);
  }
  // Nor is one that claims to be a rank that is there already, or none.
  for (const char* rank : {"1", "0", "3", "-1", "x"}) {
    EXPECT_THAT(message_of([&] { meet(first.invitation, rank, 60s); }),
                StartsWith("rank 0 does not answer on port "))
        << rank;
  }
  EXPECT_FALSE(first.ends.left(0));
  first.other->send('f');
  first.heartbeat.reset();
  EXPECT_THAT(first.ends.said(0), IsEmpty());
}

TEST(Heartbeat, WhoDoesNotReachRankZeroFailsOnAllRanks) {
  Gathering gathering(3);
  Ends ends(3);
  std::vector<std::string> errors(3);
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < 3; ++rank)
      threads.emplace_back([&, rank] {
        Heartbeat::Gather gather = [&, rank](const std::string& mine) {
          std::vector<std::string> all = gathering.of(rank)(mine);
          if (rank == 2 && all[0].find(' ') != all[0].npos)  // an address of nobody
            all[0] = "00 9 127.0.0.1";
          return all;
        };
        errors[size_t(rank)] =
            error_of([&] { Heartbeat(rank, facts_of(3), gather, quick, ends.of(rank)); });
      });
  }
  EXPECT_THAT(errors, testing::Each(AllOf(
                          StartsWith("rank 2 on node2 (process 102): rank 0 does not answer on "
                                     "port 9 of 127.0.0.1: "),
                          HasSubstr("FOLIO_RANK0_ADDRESS=ADDRESS:PORT"))));
}

TEST(Heartbeat, AnAddressCanBeGiven) {
  for (auto [given, address] : {std::pair("127.0.0.1", "127.0.0.1"), std::pair("[::1]", "::1")}) {
    setenv("FOLIO_RANK0_ADDRESS", given, 1);
    EXPECT_THAT(Meeting().invitation(), testing::EndsWith(std::string(" ") + address));
  }
  for (const char* wrong : {":70", "10.0.0.1:port", "10.0.0.1:70000", "[::1"}) {
    setenv("FOLIO_RANK0_ADDRESS", wrong, 1);
    EXPECT_THAT(message_of([] { Meeting(); }),
                HasSubstr(std::string("FOLIO_RANK0_ADDRESS=") + wrong));
  }
  unsetenv("FOLIO_RANK0_ADDRESS");
}

}  // namespace
}  // namespace folio

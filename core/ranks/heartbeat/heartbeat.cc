#include "core/ranks/heartbeat/heartbeat.h"

#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/check.h"
#include "core/ranks/heartbeat/meeting.h"

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Kinds of messages beside those of a meeting.
namespace says {
constexpr char beat = 'b', error = 'e', farewell = 'f', leave = 'l';
}

// How long a rank that ends waits for what it has said to arrive.
constexpr milliseconds parting{1000};

void wait_until_ended(std::vector<Link*> links, milliseconds most) {
  for (Link* link : links) shutdown(link->fd(), SHUT_WR);
  for (Clock::time_point end = Clock::now() + most; Clock::now() < end;) {
    std::erase_if(links, [](Link* link) { return link->receive(), link->ended(); });
    if (links.empty()) return;
    std::vector<pollfd> waits;
    for (const Link* link : links) waits.push_back({link->fd(), POLLIN, 0});
    poll(waits.data(), waits.size(), 50);
  }
}

}  // namespace

class Heartbeat::Watch {
 public:
  Watch(int rank, std::vector<RankFacts> ranks, const Gather& gather, const Options& options,
        End end)
      : rank_(rank), ranks_(std::move(ranks)), options_(options), end_(std::move(end)) {
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    check(wake_ >= 0, "no descriptor is left for the heartbeat");
    try {
      meet_all(gather);
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Watch() {
    stop();
    close(wake_);
  }

  void report(const std::string& text) {
    std::lock_guard lock(mutex_);
    if (!own_error_) own_error_ = text;
    wake();
  }

 private:
  struct Peer {
    std::optional<Link> link;
    Clock::time_point heard;
    bool left = false;  // with a farewell
    std::optional<std::string> error;
    bool gone() const { return link && link->ended() && !left; }
    bool watched() const { return link && !link->ended(); }
  };

  void meet_all(const Gather& gather) {
    if (rank_ == 0) {
      meeting_.emplace();
      peers_.resize(ranks_.size());
      start();
    }
    const std::string invitation = gather(rank_ == 0 ? meeting_->invitation() : "")[0];
    std::string trouble;
    if (rank_ != 0) {
      try {
        peers_.emplace_back().link.emplace(
            meet(invitation, std::to_string(rank_),
                 std::min<milliseconds>(options_.timeout / 2, std::chrono::seconds(30))));
        start();
      } catch (const Error& error) {
        trouble = fmt::format("{}: {}", named(rank_, ranks_[size_t(rank_)]), error.what());
      }
    }
    for (const std::string& text : gather(trouble)) check(text.empty(), "{}", text);
  }
  void start() {
    for (Peer& peer : peers_) peer.heard = Clock::now();
    // Signals are for other threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] {
      run();
      peers_.clear();  // closes their connections
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  void wake() {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(wake_, &one, sizeof one);
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      wake();
    }
    if (thread_.joinable()) thread_.join();
  }

  void run() {
    Clock::time_point next_beat = Clock::now(), before = Clock::now();
    while (true) {
      wait_for_something(next_beat);
      Clock::time_point now = Clock::now();
      if (now - before > 3 * options_.beat)  // this process was stopped
        for (Peer& peer : peers_) peer.heard += now - before;
      before = now;
      {
        std::lock_guard lock(mutex_);
        if (stopping_) return say_farewell();
        own_ = own_error_;
      }
      if (end_.hurried() && !hurried_since_) hurried_since_ = now;
      if (own_ && !first_error_) first_error_ = now;
      if (meeting_) welcome_callers();
      for (Peer& peer : peers_)
        if (hear(peer, now)) return end_.leave(silent_);
      if (rank_ == 0 ? judge_all(now) : judge_rank_0(now)) return end_.leave(silent_);
      if (now < next_beat) continue;
      next_beat = now + options_.beat;
      for (Peer& peer : peers_)
        if (peer.watched()) peer.link->send(says::beat);
    }
  }

  void wait_for_something(Clock::time_point next_beat) {
    std::vector<pollfd> waits{{wake_, POLLIN, 0}};
    if (meeting_) waits.push_back({meeting_->fd(), POLLIN, 0});
    for (const Link& caller : callers_) waits.push_back({caller.fd(), POLLIN, 0});
    for (const Peer& peer : peers_)
      if (peer.watched())
        waits.push_back(
            {peer.link->fd(), short(POLLIN | (peer.link->has_unsent() ? POLLOUT : 0)), 0});
    // Soon enough to see that this process has been asked to stop.
    auto left =
        std::min(std::chrono::ceil<milliseconds>(next_beat - Clock::now()), milliseconds(250));
    if (first_error_) left = std::min(left, options_.collect / 4);
    poll(waits.data(), waits.size(), int(std::max(left, milliseconds(0)).count()));
    uint64_t count = 0;
    [[maybe_unused]] ssize_t got = read(wake_, &count, sizeof count);
  }

  // Whoever knows the secret is the rank that it says; others are not heard any further.
  void welcome_callers() {
    for (int fd; (fd = meeting_->accept()) >= 0;) callers_.emplace_back(fd);
    std::erase_if(callers_, [&](Link& caller) {
      for (const Link::Message& message : caller.receive()) {
        const std::string& secret = meeting_->secret();
        if (message.kind != Meeting::hello || !message.text.starts_with(secret + " ")) return true;
        int rank = 0;
        std::from_chars(message.text.data() + secret.size() + 1,
                        message.text.data() + message.text.size(), rank);
        if (rank <= 0 || size_t(rank) >= peers_.size() || peers_[size_t(rank)].link) return true;
        Peer& peer = peers_[size_t(rank)];
        caller.send(Meeting::welcome);
        peer.link.emplace(std::move(caller));
        peer.heard = Clock::now();
        return true;
      }
      return caller.ended();
    });
    if (callers_.size() > 64) callers_.erase(callers_.begin());
  }

  // Whether it tells this rank to leave.
  bool hear(Peer& peer, Clock::time_point now) {
    if (!peer.watched()) return false;
    peer.link->flush();
    for (const Link::Message& message : peer.link->receive()) {
      peer.heard = now;
      if (message.kind == says::leave) return true;
      if (message.kind == says::farewell) peer.left = true;
      if (message.kind == says::error && !peer.error) {
        peer.error = message.text;
        if (!first_error_) first_error_ = now;
      }
    }
    if (peer.left) peer.link.reset();
    return false;
  }

  // For how long another rank may be silent.
  milliseconds patience() const {
    milliseconds limit = options_.timeout * (15 + std::min(rank_, 2)) / 20;
    return end_.hurried() ? std::min(limit, 5 * options_.beat) : limit;
  }

  // Rank 0: whether the job is to end, which all have been told then.
  bool judge_all(Clock::time_point now) {
    const milliseconds limit = patience();
    std::vector<std::string> troubles;
    for (size_t rank = 1; rank < peers_.size(); ++rank) {
      const Peer& peer = peers_[rank];
      if (peer.gone())
        troubles.push_back(gone_text(int(rank)));
      else if (peer.watched() && now - peer.heard > limit) {
        troubles.push_back(silent_text(int(rank), now - peer.heard));
        silent_ = true;
      }
    }
    if (troubles.empty() && first_error_) {
      size_t reported = own_ ? 1 : 0;
      for (const Peer& peer : peers_) reported += peer.error ? 1 : 0;
      if (reported < ranks_.size() && now - *first_error_ < options_.collect) return false;
      troubles.push_back(error_text(reported));
    }
    if (troubles.empty()) return false;
    if (size_t more = troubles.size(); more > 4) {
      troubles.resize(4);
      troubles.push_back(fmt::format("and {} more", more - 4));
    }
    end_.say(fmt::format("{}", fmt::join(troubles, "; ")));
    dismiss(now - limit);
    return true;
  }

  // Tells the others to leave, should they go on one day, and waits for those heard since then.
  void dismiss(Clock::time_point since) {
    std::vector<Link*> links;
    for (Peer& peer : peers_) {
      if (!peer.watched()) continue;
      peer.link->send(says::leave);
      if (peer.heard >= since) links.push_back(&*peer.link);
    }
    wait_until_ended(links, parting);
  }

  // The others: whether to leave because of rank 0, or for want of it.
  bool judge_rank_0(Clock::time_point now) {
    Peer& first = peers_[0];
    if (first.gone()) {
      if (rank_ == 1) end_.say(gone_text(0));
      return true;
    }
    if (first.watched() && now - first.heard > patience()) {
      auto on_my_host = [&](const RankFacts& facts) {
        return facts.host == ranks_[size_t(rank_)].host;
      };
      auto lowest = std::find_if(ranks_.begin() + 1, ranks_.end(), on_my_host);
      // Asked to stop: by whoever started the ranks, since rank 1 has spoken and left.
      if (lowest - ranks_.begin() == rank_ && (rank_ == 1 || !end_.hurried()))
        end_.say(silent_text(0, now - first.heard));
      silent_ = true;
      dismiss(now);
      return true;
    }
    if (!own_) return false;
    if (first.watched() && !reported_) first.link->send(says::error, *own_);
    reported_ = true;
    // Rank 0 speaks; unless it has left, or is in no state to.
    if (first.watched() && now - *first_error_ < options_.collect + 5 * parting) return false;
    end_.say(fmt::format("{}: {}", named(rank_, ranks_[size_t(rank_)]), *own_));
    return true;
  }

  std::string gone_text(int rank) const {
    // Not who asks the others to stop because one is gone: that follows at once.
    if (hurried_since_ && Clock::now() - *hurried_since_ > milliseconds(700))
      return fmt::format(
          "{} was killed while it stopped; to give the ranks a minute for that: mpirun --mca "
          "odls_base_sigkill_timeout 60",
          named(rank, ranks_[size_t(rank)]));
    return fmt::format(
        "{} is gone: its connection ended without a farewell; it crashed or was killed (dmesg on "
        "{} says whether for want of memory)",
        named(rank, ranks_[size_t(rank)]), ranks_[size_t(rank)].host);
  }
  std::string silent_text(int rank, Clock::duration silence) const {
    return fmt::format(
        "{} has been silent for {} s: it hangs or is stopped, or the network to {} is cut",
        named(rank, ranks_[size_t(rank)]),
        std::chrono::floor<std::chrono::seconds>(silence).count(), ranks_[size_t(rank)].host);
  }
  // Of the lowest rank that has reported one.
  std::string error_text(size_t reported) const {
    std::vector<std::pair<int, std::string>> errors;
    if (own_) errors.emplace_back(0, *own_);
    for (size_t rank = 1; rank < peers_.size(); ++rank)
      if (peers_[rank].error) errors.emplace_back(int(rank), *peers_[rank].error);
    const int rank = errors.front().first;
    const std::string& text = errors.front().second;
    if (reported == ranks_.size() &&
        std::ranges::all_of(errors, [&](auto& other) { return other.second == text; }))
      return text;
    return fmt::format("{}: {}", named(rank, ranks_[size_t(rank)]), text);
  }

  void say_farewell() {
    std::vector<Link*> links;
    for (Peer& peer : peers_) {
      if (!peer.watched()) continue;
      peer.link->send(says::farewell);
      links.push_back(&*peer.link);
    }
    wait_until_ended(links, parting);
  }

  const int rank_;
  const std::vector<RankFacts> ranks_;
  const Options options_;
  const End end_;
  std::optional<Meeting> meeting_;  // rank 0's
  std::vector<Link> callers_;       // who has not said who it is
  std::vector<Peer> peers_;  // rank 0's: by rank, its own without a link; the others': rank 0
  std::optional<std::string> own_;  // error
  std::optional<Clock::time_point> first_error_;
  std::optional<Clock::time_point> hurried_since_;
  bool reported_ = false;
  bool silent_ = false;  // somebody is silent
  int wake_ = -1;
  std::mutex mutex_;  // of what follows
  std::optional<std::string> own_error_;
  bool stopping_ = false;
  std::thread thread_;
};

Heartbeat::Heartbeat(int rank, std::vector<RankFacts> ranks, const Gather& gather,
                     const Options& options, End end)
    : watch_(std::make_unique<Watch>(rank, std::move(ranks), gather, options, std::move(end))) {}
Heartbeat::~Heartbeat() = default;
void Heartbeat::report(const std::string& error) { watch_->report(error); }

}  // namespace folio

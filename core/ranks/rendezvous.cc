#include "core/ranks/rendezvous.h"

#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>

#include "core/check.h"
#include "core/ranks/facts.h"

namespace folio {
namespace {

using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// What a rank says first. All numbers are the machine's own: folio's ranks are one build.
struct Hello {
  std::array<char, 16> greeting{"folio ranks 1\n"};
  int32_t rank = 0, size = 0;
  std::array<char, 64> host{};
};

// Before a text goes its length. In its place: the rank gives up, and the text says why; or it
// leaves, and nothing follows.
constexpr uint64_t gives_up = ~uint64_t{0}, leaves = ~uint64_t{1};
constexpr uint64_t most_bytes = uint64_t{64} << 20;
constexpr uint64_t most_of_why = 4096;

void append(std::string& message, uint64_t value) {
  message.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string reason_message(std::string why) {
  why.resize(std::min(why.size(), size_t(most_of_why)));
  std::string message;
  append(message, gives_up);
  append(message, why.size());
  return message + why;
}

// What a rank said last, at the end of all that it sent and nobody has read yet.
struct Farewell {
  bool left = false;
  std::string why;  // it gave up
};

Farewell farewell_in(const std::string& unread) {
  auto number = [&](size_t at) {
    uint64_t value = 0;
    if (at + sizeof value <= unread.size()) std::memcpy(&value, &unread[at], sizeof value);
    return value;
  };
  const size_t size = unread.size();
  if (size >= 8 && number(size - 8) == leaves) return {.left = true, .why = ""};
  for (uint64_t length = 1; length <= most_of_why && length + 16 <= size; ++length)
    if (number(size - length - 16) == gives_up && number(size - length - 8) == length)
      return {.left = false, .why = unread.substr(size - length)};
  return {};
}

int number_from(const char* variable, int least, int most) {
  const char* text = std::getenv(variable);
  check(text != nullptr,
        "{} is not set, though RANK or WORLD_SIZE is: several processes need RANK, WORLD_SIZE, "
        "MASTER_ADDR and MASTER_PORT",
        variable);
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  check(error == std::errc() && at == end && least <= value && value <= most,
        "{}={}: expected a number from {} to {}", variable, text, least, most);
  return value;
}

}  // namespace

std::optional<Rendezvous::Place> Rendezvous::place_from_environment() {
  if (!std::getenv("RANK") && !std::getenv("WORLD_SIZE")) return std::nullopt;
  Place place;
  place.size = number_from("WORLD_SIZE", 1, 1 << 20);
  place.rank = number_from("RANK", 0, place.size - 1);
  if (place.size == 1) return place;
  place.port = number_from("MASTER_PORT", 1, 65534);
  const char* host = std::getenv("MASTER_ADDR");
  check(host && *host, "MASTER_ADDR is not set: it names the host of rank 0");
  place.host = host;
  const char* agent = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  if (agent && std::string_view(agent) == "True") ++place.port;
  return place;
}

Rendezvous::Rendezvous(Place place, seconds timeout)
    : place_(std::move(place)),
      timeout_(timeout),
      unwinding_(std::uncaught_exceptions()),
      to_(size_t(place_.size)),
      hosts_(size_t(place_.size)) {
  hosts_[size_t(place_.rank)] = host_name();
  if (place_.size == 1) return;
  const Socket::Deadline deadline = Clock::now() + timeout_;
  if (place_.rank == 0) {
    try {
      wait_for_all(deadline);
    } catch (const Error& error) {
      give_up(error.what());
      throw;
    }
  } else {
    hosts_[0] = place_.host;
    Socket& first = to_[0] = Socket::connected(place_.host, place_.port, deadline);
    Hello hello;
    hello.rank = place_.rank;
    hello.size = place_.size;
    hosts_[size_t(place_.rank)].copy(hello.host.data(), hello.host.size() - 1);
    first.send(&hello, sizeof hello, deadline);
  }
  // Rank 0 waits as long for the others, and says who has not come.
  hosts_ = gather_by(hosts_[size_t(place_.rank)], Clock::now() + timeout_ + seconds(10));
}

Rendezvous::~Rendezvous() {
  if (watching_.joinable()) {
    close(stop_watching_);
    watching_.join();
  }
  if (std::uncaught_exceptions() > unwinding_)
    give_up(fmt::format("{} gave up: its own output says why", named(place_.rank)));
  const Socket::Deadline deadline = Clock::now() + seconds(1);
  for (Socket& to : to_) {
    if (!to) continue;
    if (failed_)
      to.drain(deadline);
    else
      to.send(&leaves, sizeof leaves, deadline);
  }
}

std::string Rendezvous::named(int rank) const {
  const std::string& host = hosts_[size_t(rank)];
  return fmt::format("rank {} of {}{}", rank, place_.size,
                     host.empty() ? "" : fmt::format(" (on {})", host));
}

// Nothing follows, so that who watches the connection looks at once.
std::string Rendezvous::give_up(const std::string& why) {
  const std::lock_guard lock(sending_);
  if (failed_.exchange(true)) return why_;
  why_ = why;
  const std::string message = reason_message(why);
  for (Socket& to : to_)
    if (to) {
      to.send(message.data(), message.size(), Clock::now() + seconds(1));
      to.end_sending();
    }
  return why_;
}

// Rank 0. Whoever says something else than a rank does is no rank, and is not heard any further.
void Rendezvous::wait_for_all(Socket::Deadline deadline) {
  struct Caller {
    Socket socket;
    Hello hello;
    size_t heard = 0;
  };
  Socket listener = Socket::listening(place_.port);
  std::vector<Caller> callers;
  int missing = place_.size - 1;
  auto hear = [&](Caller& caller) {  // whether there is more to be heard
    const long got = caller.socket.receive_some(
        reinterpret_cast<char*>(&caller.hello) + caller.heard, sizeof(Hello) - caller.heard);
    caller.heard += size_t(std::max(got, 0L));
    if (got >= 0 && caller.heard < sizeof(Hello)) return true;
    Hello& hello = caller.hello;
    if (got < 0 || hello.greeting != Hello().greeting) return false;
    hello.host.back() = 0;
    std::string why;
    if (hello.size != place_.size)
      why = fmt::format("WORLD_SIZE is {} for rank {} on {}, and {} for rank 0", hello.size,
                        hello.rank, hello.host.data(), place_.size);
    else if (hello.rank <= 0 || hello.rank >= place_.size || to_[size_t(hello.rank)])
      why = fmt::format("two processes have RANK={}, one of them on {}", hello.rank,
                        hello.host.data());
    if (!why.empty()) {
      const std::string message = reason_message(why);
      caller.socket.send(message.data(), message.size(), Clock::now() + seconds(1));
      fail("{}", why);
    }
    to_[size_t(hello.rank)] = std::move(caller.socket);
    hosts_[size_t(hello.rank)] = hello.host.data();
    --missing;
    return false;
  };
  while (missing > 0) {
    std::vector<pollfd> waits{{listener.fd(), POLLIN, 0}};
    for (const Caller& caller : callers) waits.push_back({caller.socket.fd(), POLLIN, 0});
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      std::vector<int> absent;
      for (int rank = 1; rank < place_.size; ++rank)
        if (!to_[size_t(rank)]) absent.push_back(rank);
      absent.resize(std::min<size_t>(absent.size(), 8));
      fail(
          "a rendezvous: after {} s {} of {} ranks have not come: {}{}; are they running, and is "
          "MASTER_ADDR={} MASTER_PORT={} the same for all?",
          timeout_.count(), missing, place_.size, fmt::join(absent, ", "),
          missing > std::ssize(absent) ? ", ..." : "", place_.host, place_.port);
    }
    poll(waits.data(), waits.size(), int(std::min<int64_t>(left, 1 << 30)));
    std::erase_if(callers, [&](Caller& caller) { return !hear(caller); });
    while (std::optional<Socket> next = listener.accept())
      callers.push_back({std::move(*next), {}, 0});
    const size_t most = size_t(place_.size) + 64;  // the newest
    if (callers.size() > most) callers.erase(callers.begin(), callers.end() - ptrdiff_t(most));
  }
}

std::string Rendezvous::receive_text(int from, Socket::Deadline deadline) {
  Socket& socket = to_[size_t(from)];
  auto expect = [&](const std::string& why) {
    check(why != "has ended", "{} has ended: its own output says why", named(from));
    check(why.empty(), "{} {}: it hangs, or needs a longer comm_timeout than {} s", named(from),
          why, timeout_.count());
  };
  auto receive = [&](void* bytes, size_t size) {
    expect(socket.receive(bytes, size, deadline, failed_));
  };
  expect(socket.wait_to_receive(deadline, failed_));
  uint64_t size = 0;
  {
    const std::lock_guard lock(hearing_);
    receive(&size, sizeof size);
    if (size == leaves)
      fail("{}", give_up(fmt::format(
                     "{} has left, while {} goes on: they run different programs or options",
                     named(from), named(place_.rank))));
    if (size == gives_up) {
      receive(&size, sizeof size);
      std::string why(size_t(std::min(size, most_of_why)), '\0');
      receive(why.data(), why.size());
      fail("{}", give_up(why));
    }
  }
  check(size <= most_bytes, "{} sent what folio does not send: {} bytes", named(from), size);
  std::string text(size_t(size), '\0');
  receive(text.data(), text.size());
  return text;
}

std::vector<std::string> Rendezvous::gather(const std::string& mine) {
  check(mine.size() <= most_bytes, "gather: {} bytes, at most {}", mine.size(), most_bytes);
  if (place_.size == 1) return {mine};
  return gather_by(mine, Clock::now() + timeout_);
}

std::vector<std::string> Rendezvous::gather_by(const std::string& mine, Socket::Deadline deadline) {
  try {
    return collect(mine, deadline);
  } catch (const Error& error) {
    throw Error(give_up(error.what()));
  }
}

std::vector<std::string> Rendezvous::collect(const std::string& mine, Socket::Deadline deadline) {
  std::vector<std::string> all(size_t(place_.size));
  std::string message;
  auto add = [&](const std::string& text) {
    append(message, text.size());
    message += text;
  };
  auto send = [&](int rank) {
    // Who does not take it has ended, or is said to be late by the next receive.
    const std::lock_guard lock(sending_);
    if (!failed_) to_[size_t(rank)].send(message.data(), message.size(), deadline);
  };
  if (place_.rank == 0) {
    all[0] = mine;
    for (int rank = 1; rank < place_.size; ++rank) all[size_t(rank)] = receive_text(rank, deadline);
    for (const std::string& text : all) add(text);
    for (int rank = 1; rank < place_.size; ++rank) send(rank);
  } else {
    add(mine);
    send(0);
    for (std::string& text : all) text = receive_text(0, deadline);
  }
  return all;
}

void Rendezvous::on_lost(std::function<void(const std::string& why)> lost) {
  if (place_.size == 1) return;
  int ends[2];
  check(pipe(ends) == 0, "on_lost: no pipe: {}", std::strerror(errno));
  stop_watching_ = ends[1];
  watching_ = std::jthread([this, lost = std::move(lost), stop = ends[0]] {
    const std::string why = watch(stop);
    close(stop);
    if (!why.empty()) lost(why);
  });
}

// Reads nothing, only looks, since the other thread reads. Returns why a rank is lost; nothing
// where it was stopped.
std::string Rendezvous::watch(int stop) {
  std::vector<pollfd> waits{{stop, POLLIN, 0}};
  std::vector<int> ranks{-1};
  for (int rank = 0; rank < place_.size; ++rank)
    if (to_[size_t(rank)]) {
      waits.push_back({to_[size_t(rank)].fd(), POLLRDHUP, 0});
      ranks.push_back(rank);
    }
  for (;;) {
    if (poll(waits.data(), waits.size(), -1) < 0) continue;
    if (waits[0].revents) return "";
    for (size_t i = 1; i < waits.size(); ++i) {
      if (!waits[i].revents) continue;
      const std::lock_guard lock(hearing_);
      const Farewell farewell = farewell_in(to_[size_t(ranks[i])].peek_all());
      if (farewell.left) {
        waits[i].fd = -1;
        continue;
      }
      return give_up(farewell.why.empty()
                         ? fmt::format("{} has ended: its own output says why", named(ranks[i]))
                         : farewell.why);
    }
  }
}

}  // namespace folio

#include "core/ranks/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "core/check.h"

namespace folio {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Whether `events` came by the deadline.
bool wait_for(int fd, short events, Socket::Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    pollfd one{fd, events, 0};
    const int ready = poll(&one, 1, int(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
  }
}

void set(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

// So that a machine that is gone is found within half a minute, and small messages go at once.
void tune(int fd) {
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

struct Addresses {
  addrinfo* first = nullptr;
  ~Addresses() {
    if (first) freeaddrinfo(first);
  }
};

// One try; a socket of -1 and why not.
Socket try_connect(const std::string& host, int port, Socket::Deadline deadline, std::string& why) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  Addresses found;
  if (int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found.first)) {
    why = gai_strerror(error);
    return {};
  }
  for (addrinfo* at = found.first; at; at = at->ai_next) {
    const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0) continue;
    Socket made(fd);
    int error = ::connect(fd, at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      socklen_t length = sizeof error;
      if (!wait_for(fd, POLLOUT, deadline))
        error = ETIMEDOUT;
      else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error == 0) {
      tune(fd);
      return made;
    }
    why = std::strerror(error);
  }
  return {};
}

std::string late() { return "took no part in time"; }

}  // namespace

Socket::Socket(int fd) : fd_(fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Socket Socket::listening(int port) {
  // Where there is IPv6, one that takes IPv4 too.
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool six = fd >= 0;
  if (!six) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(fd >= 0, "a rendezvous: no socket: {}", std::strerror(errno));
  Socket made(fd);
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  any6.sin6_port = htons(uint16_t(port));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(uint16_t(port));
  if (six) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  const auto* address =
      six ? reinterpret_cast<const sockaddr*>(&any6) : reinterpret_cast<const sockaddr*>(&any);
  check(bind(fd, address, six ? sizeof any6 : sizeof any) == 0 && listen(fd, SOMAXCONN) == 0,
        "a rendezvous: rank 0 cannot listen on port {}: {}; set MASTER_PORT to a free one on every "
        "rank",
        port, std::strerror(errno));
  return made;
}

Socket Socket::connected(const std::string& host, int port, Deadline deadline) {
  for (milliseconds pause{10};; pause = std::min(2 * pause, milliseconds(500))) {
    std::string why;
    if (Socket made = try_connect(host, port, deadline, why)) return made;
    check(Clock::now() + pause < deadline,
          "a rendezvous: rank 0 is not to be reached at {} port {}: {}; is it running, is "
          "MASTER_ADDR its host, and does a firewall let the port through?",
          host, port, why);
    std::this_thread::sleep_for(pause);
  }
}

std::optional<Socket> Socket::accept() {
  const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  tune(fd);
  return Socket(fd);
}

std::string Socket::send(const void* bytes, size_t size, Deadline deadline) {
  for (size_t done = 0; done < size;) {
    const ssize_t sent =
        ::send(fd_, static_cast<const char*>(bytes) + done, size - done, MSG_NOSIGNAL);
    if (sent > 0)
      done += size_t(sent);
    else if (errno == EAGAIN && !wait_for(fd_, POLLOUT, deadline))
      return late();
    else if (errno != EAGAIN && errno != EINTR)
      return "has ended";
  }
  return "";
}

void Socket::end_sending() { shutdown(fd_, SHUT_WR); }

std::string Socket::wait_to_receive(Deadline deadline, const std::atomic<bool>& stop) {
  while (!wait_for(fd_, POLLIN, std::min(deadline, Clock::now() + milliseconds(100)))) {
    if (stop) return "was given up";
    if (Clock::now() >= deadline) return late();
  }
  return "";
}

std::string Socket::receive(void* bytes, size_t size, Deadline deadline,
                            const std::atomic<bool>& stop) {
  for (size_t done = 0; done < size;) {
    const long got = receive_some(static_cast<char*>(bytes) + done, size - done);
    if (got < 0) return "has ended";
    done += size_t(got);
    if (got > 0) continue;
    if (const std::string why = wait_to_receive(deadline, stop); !why.empty()) return why;
  }
  return "";
}

void Socket::drain(Deadline deadline) {
  char unread[4096];
  for (long got = 0; got >= 0; got = receive_some(unread, sizeof unread))
    if (got == 0 && !wait_for(fd_, POLLIN, deadline)) return;
}

long Socket::receive_some(void* bytes, size_t size) {
  const ssize_t got = recv(fd_, bytes, size, 0);
  if (got > 0) return got;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

std::string Socket::peek_all() {
  int there = 0;
  ioctl(fd_, FIONREAD, &there);
  std::string bytes(size_t(std::max(there, 0)), '\0');
  const ssize_t got = recv(fd_, bytes.data(), bytes.size(), MSG_PEEK);
  bytes.resize(size_t(std::max<ssize_t>(got, 0)));
  return bytes;
}

}  // namespace folio

#include "core/ranks/heartbeat/link.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace folio {
namespace {

// Before each text: its kind, and its length in the network's order of bytes.
constexpr size_t header = 5;

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Link::Link(int fd) : fd_(fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Link::~Link() {
  if (fd_ >= 0) close(fd_);
}

Link::Link(Link&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      ended_(other.ended_),
      unsent_(std::move(other.unsent_)),
      received_(std::move(other.received_)) {}

Link& Link::operator=(Link&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(ended_, other.ended_);
  std::swap(unsent_, other.unsent_);
  std::swap(received_, other.received_);
  return *this;
}

void Link::send(char kind, std::string_view text) {
  // Whoever takes nothing is found silent; what is meant for it need not be kept for ever.
  if (ended_ || unsent_.size() > 2 * longest_text) return;
  text = text.substr(0, longest_text);
  uint32_t length = htonl(uint32_t(text.size()));
  unsent_ += kind;
  unsent_.append(reinterpret_cast<const char*>(&length), sizeof length);
  unsent_ += text;
  flush();
}

void Link::flush() {
  while (!ended_ && !unsent_.empty()) {
    ssize_t sent = ::send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent >= 0)
      unsent_.erase(0, size_t(sent));
    else if (would_wait())
      return;
    else
      ended_ = true;
  }
}

std::vector<Link::Message> Link::receive() {
  std::array<char, 4096> bytes;
  while (!ended_ && received_.size() <= header + longest_text) {
    ssize_t got = recv(fd_, bytes.data(), bytes.size(), 0);
    if (got > 0)
      received_.append(bytes.data(), size_t(got));
    else if (got < 0 && would_wait())
      break;
    else
      ended_ = true;
  }
  std::vector<Message> messages;
  while (received_.size() >= header) {
    uint32_t length = 0;
    std::memcpy(&length, received_.data() + 1, sizeof length);
    length = ntohl(length);
    if (length > longest_text) {
      ended_ = true;
      received_.clear();
      break;
    }
    if (received_.size() < header + length) break;
    messages.push_back({received_[0], received_.substr(header, length)});
    received_.erase(0, header + length);
  }
  return messages;
}

}  // namespace folio

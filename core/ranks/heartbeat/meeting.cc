#include "core/ranks/heartbeat/meeting.h"

#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

#include "core/check.h"

namespace folio {
namespace {

constexpr const char* override_name = "FOLIO_RANK0_ADDRESS";

std::string text_of(const sockaddr* address) {
  std::array<char, NI_MAXHOST> text{};
  socklen_t size = address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
    return "";
  return text.data();
}

// Of the interfaces that are up, loopback's last: for ranks of the same host.
std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses, loopback;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {"127.0.0.1"};
  for (const ifaddrs* at = first; at; at = at->ifa_next) {
    if (!at->ifa_addr || !(at->ifa_flags & 1)) continue;  // IFF_UP
    int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    std::string text = text_of(at->ifa_addr);
    if (text.empty() || text.find('%') != text.npos) continue;  // of the link alone
    bool local = text == "::1" || text.starts_with("127.");
    (local ? loopback : addresses).push_back(text);
  }
  freeifaddrs(first);
  addresses.insert(addresses.end(), loopback.begin(), loopback.end());
  return addresses;
}

// "[fd00::2]:70" and "10.0.0.2:70" with a port, "10.0.0.2" and "fd00::2" without.
std::pair<std::string, std::string> split_port(const std::string& text) {
  size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    check(end != text.npos, "{}={}: a ] is missing", override_name, text);
    return {text.substr(1, end - 1), colon > end ? text.substr(colon + 1) : "0"};
  }
  if (colon == text.npos || text.find(':') != colon) return {text, "0"};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses resolve(const std::string& address, const std::string& port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(address.c_str(), port.c_str(), &hints, &found) != 0) return nullptr;
  return Addresses(found);
}

// -1, and errno: it cannot.
template <class Address>
int listen_at(const Address& address, int family) {
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), off = 0, on = 1;
  if (fd < 0) return -1;
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      listen(fd, 1024) == 0)
    return fd;
  int reason = errno;
  close(fd);
  errno = reason;
  return -1;
}

// On all addresses, IPv4's and IPv6's, unless there is no IPv6.
int listen_on(uint16_t port) {
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  any6.sin6_port = htons(port);
  int fd = listen_at(any6, AF_INET6);
  if (fd >= 0) return fd;
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(port);
  fd = listen_at(any, AF_INET);
  check(fd >= 0, "rank 0 cannot listen for the heartbeat on port {}: {}", port,
        std::strerror(errno));
  return fd;
}

uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::string random_secret() {
  std::array<unsigned char, 16> bytes{};
  check(getrandom(bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()),
        "the system gives no random numbers: {}", std::strerror(errno));
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

// Connections on their way; none where it is refused at once.
std::vector<Link> call(const std::string& address, const std::string& port) {
  std::vector<Link> links;
  Addresses found = resolve(address, port);
  for (const addrinfo* at = found.get(); at; at = at->ai_next) {
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) continue;
    links.emplace_back(fd);
    if (connect(fd, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS) links.pop_back();
  }
  return links;
}

}  // namespace

Meeting::Meeting() : secret_(random_secret()) {
  const char* fixed = std::getenv(override_name);
  std::vector<std::string> addresses;
  int port = 0;
  if (fixed && *fixed) {
    auto [address, port_text] = split_port(fixed);
    port = std::atoi(port_text.c_str());
    check(!address.empty() && port >= 0 && port < 65536 &&
              port_text.find_first_not_of("0123456789") == port_text.npos,
          "{}={}: expected ADDRESS or ADDRESS:PORT", override_name, fixed);
    addresses = {address};
  } else {
    addresses = own_addresses();
  }
  fd_ = listen_on(uint16_t(port));
  invitation_ = fmt::format("{} {} {}", secret_, port_of(fd_), fmt::join(addresses, " "));
}

Meeting::~Meeting() { close(fd_); }

int Meeting::accept() { return accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

Link meet(const std::string& invitation, const std::string& text,
          std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  std::istringstream words(invitation);
  std::string secret, port, address;
  words >> secret >> port;
  std::vector<std::string> addresses;
  std::vector<Link> links;
  while (words >> address) {
    addresses.push_back(address);
    for (Link& link : call(address, port)) {
      link.send(Meeting::hello, secret + " " + text);  // kept until there is a connection
      links.push_back(std::move(link));
    }
  }
  for (Clock::time_point end = Clock::now() + timeout; Clock::now() < end && !links.empty();) {
    std::vector<pollfd> waits;
    for (const Link& link : links)
      waits.push_back({link.fd(), short(POLLIN | (link.has_unsent() ? POLLOUT : 0)), 0});
    poll(waits.data(), waits.size(), 100);
    for (size_t i = 0; i < links.size(); ++i) {
      if (waits[i].revents == 0) continue;
      links[i].flush();
      for (const Link::Message& message : links[i].receive())
        if (message.kind == Meeting::welcome) return std::move(links[i]);
    }
    std::erase_if(links, [](const Link& link) { return link.ended(); });
  }
  fail(
      "rank 0 does not answer on port {} of {}: where a firewall is between the hosts, or several "
      "networks, set {}=ADDRESS:PORT (mpirun -x {}=...) to one that they all reach",
      port, fmt::join(addresses, ", "), override_name, override_name);
}

}  // namespace folio

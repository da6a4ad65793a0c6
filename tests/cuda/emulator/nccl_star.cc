#include "tests/cuda/emulator/nccl_star.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "core/check.h"

namespace folio::emulator {
namespace {

using Kind = NcclStar::Collective::Kind;

std::map<std::string, int> listeners;  // of this process's ids

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

struct Request {
  Kind kind;
  uint32_t type, root;
  uint64_t bytes;
  bool operator==(const Request&) const = default;
};

std::string text_of(const Request& request) {
  constexpr const char* names[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast"};
  return fmt::format("{} of {} bytes of type {}, root {}", names[size_t(request.kind)],
                     request.bytes, request.type, request.root);
}

template <class T>
void add(std::vector<char>& sum, const std::vector<char>& part) {
  for (size_t i = 0; i + sizeof(T) <= sum.size(); i += sizeof(T)) {
    T a, b;
    std::memcpy(&a, &sum[i], sizeof(T));
    std::memcpy(&b, &part[i], sizeof(T));
    a += b;
    std::memcpy(&sum[i], &a, sizeof(T));
  }
}

}  // namespace

std::string NcclStar::listen() {
  std::string folder = "/tmp/folio-nccl-XXXXXX";
  if (!mkdtemp(folder.data())) return "";
  const std::string path = folder + "/socket";
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const sockaddr_un address = address_of(path);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, SOMAXCONN) != 0)
    return "";
  listeners[path] = fd;
  return path;
}

NcclStar::NcclStar(std::string path, int rank, int size)
    : path_(std::move(path)), rank_(rank), size_(size), to_(size_t(size), -1) {
  if (rank == 0) {
    const auto made = listeners.find(path_);
    check(made != listeners.end(), "emulator: rank 0 is not the process that made the id");
    listener_ = made->second;
    listeners.erase(made);
  }
}

NcclStar::~NcclStar() {
  for (int fd : to_)
    if (fd >= 0) close(fd);
  stop_listening();
}

void NcclStar::stop_listening() {
  if (listener_ < 0) return;
  close(std::exchange(listener_, -1));
  unlink(path_.c_str());
  rmdir(path_.substr(0, path_.rfind('/')).c_str());
}

bool NcclStar::connect() {
  if (rank_ != 0) {
    if (to_[0] >= 0) return true;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of(path_);
    const bool connected =
        fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (!connected || write(fd, &rank_, sizeof rank_) != sizeof rank_) {
      if (fd >= 0) close(fd);
      error = ncclSystemError;
      return false;
    }
    to_[0] = fd;
    return true;
  }
  for (int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC); fd >= 0;
       fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) {
    int rank = 0;
    if (recv(fd, &rank, sizeof rank, MSG_WAITALL) != sizeof rank || rank <= 0 || rank >= size_ ||
        to_[size_t(rank)] >= 0)
      error = ncclInvalidArgument;
    else
      to_[size_t(rank)] = fd;
  }
  for (int rank = 1; rank < size_; ++rank)
    if (to_[size_t(rank)] < 0) return false;
  stop_listening();
  return true;
}

void NcclStar::run(const Collective& collective) {
  if (aborted) return;
  try {
    rank_ == 0 ? lead(collective) : follow(collective);
  } catch (const Aborted&) {
  }
}

void NcclStar::follow(const Collective& c) {
  const Request request{c.kind, c.type, c.root, c.bytes};
  send(0, &request, sizeof request);
  const size_t size = size_t(size_);
  if (c.kind != Kind::broadcast || rank_ == int(c.root))
    send(0, c.send, c.kind == Kind::reduce_scatter ? size * c.bytes : c.bytes);
  receive(0, c.receive, c.kind == Kind::all_gather ? size * c.bytes : c.bytes);
}

void NcclStar::lead(const Collective& c) {
  const Request mine{c.kind, c.type, c.root, c.bytes};
  const size_t size = size_t(size_);
  const size_t sent = c.kind == Kind::reduce_scatter ? size * c.bytes : c.bytes;
  std::vector<std::vector<char>> parts(size);
  const auto* own = static_cast<const char*>(c.send);
  parts[0].assign(own, own + sent);
  for (int rank = 1; rank < size_; ++rank) {
    Request theirs{};
    receive(rank, &theirs, sizeof theirs);
    check(theirs == mine, "emulator: NCCL: rank {} asks for {} and rank 0 for {}", rank,
          text_of(theirs), text_of(mine));
    if (c.kind == Kind::broadcast && rank != int(c.root)) continue;
    parts[size_t(rank)].resize(sent);
    receive(rank, parts[size_t(rank)].data(), sent);
  }
  std::vector<char> all;
  if (c.kind == Kind::broadcast)
    all = parts[c.root];
  else if (c.kind == Kind::all_gather)
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  else
    for (const auto& part : parts) {
      if (all.empty())
        all = part;
      else
        c.type == ncclFloat64 ? add<double>(all, part) : add<float>(all, part);
    }
  for (int rank = 0; rank < size_; ++rank) {
    const bool shard = c.kind == Kind::reduce_scatter;
    const char* begin = all.data() + (shard ? size_t(rank) * c.bytes : 0);
    const size_t bytes = shard ? c.bytes : all.size();
    if (rank == 0)
      std::memcpy(c.receive, begin, bytes);
    else
      send(rank, begin, bytes);
  }
}

void NcclStar::wait(int fd, short events) const {
  pollfd one{fd, events, 0};
  poll(&one, 1, 10);
  if (aborted) throw Aborted();
}

void NcclStar::lose() {
  error = ncclRemoteError;
  for (;;) wait(-1, 0);
}

void NcclStar::send(int to, const void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::send(to_[size_t(to)], static_cast<const char*>(bytes) + done, size - done,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) lose();
    if (n > 0)
      done += size_t(n);
    else
      wait(to_[size_t(to)], POLLOUT);
  }
}

void NcclStar::receive(int from, void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t n =
        recv(to_[size_t(from)], static_cast<char*>(bytes) + done, size - done, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) lose();
    if (n > 0)
      done += size_t(n);
    else
      wait(to_[size_t(from)], POLLIN);
  }
}

}  // namespace folio::emulator

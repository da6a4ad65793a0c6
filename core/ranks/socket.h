#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace folio {

// A TCP socket of which no call waits longer than to its deadline.
class Socket {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  Socket() = default;
  explicit Socket(int fd);  // takes it over, and makes it non-blocking
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;

  // On every address of this machine; Error where the port is taken.
  static Socket listening(int port);
  // Tries again until somebody listens there; Error where nobody does by the deadline.
  static Socket connected(const std::string& host, int port, Deadline deadline);
  // A connection that waits to be taken, if there is one.
  std::optional<Socket> accept();

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // All of the bytes. Returns "", or what the other side did instead: "has ended", or "took no part
  // in time".
  std::string send(const void* bytes, size_t size, Deadline deadline);
  // wait_to_receive waits until there is something to receive or the other side has ended; receive
  // waits for all of the bytes. Both return "was given up" soon after somebody has set `stop`.
  std::string wait_to_receive(Deadline deadline, const std::atomic<bool>& stop);
  std::string receive(void* bytes, size_t size, Deadline deadline, const std::atomic<bool>& stop);
  void end_sending();
  // Reads until the other side has ended, so that it gets what was sent to it last.
  void drain(Deadline deadline);
  // Up to `size` bytes that are there already; 0: none; -1: it has ended.
  long receive_some(void* bytes, size_t size);
  std::string peek_all();  // what is there already, which stays there

 private:
  int fd_ = -1;
};

}  // namespace folio

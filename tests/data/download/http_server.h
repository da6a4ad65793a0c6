#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/check.h"

namespace folio {

// An HTTP server on the loopback that answers one connection after another with what `answer` makes
// of the request's head: the raw bytes of the reply, after which it closes the connection, or keeps
// it open and says nothing more until the client goes (`stall`).
class HttpServer {
 public:
  struct Reply {
    std::string bytes;
    bool stall = false;
  };
  using Answer = std::function<Reply(int request, const std::string& head)>;  // counts from 0

  explicit HttpServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    check(bind(listener_, generic, size) == 0 && listen(listener_, 8) == 0 &&
              getsockname(listener_, generic, &size) == 0,
          "the test's server cannot start");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}/text", port_); }
  // The heads of the requests so far.
  std::vector<std::string> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (int client; (client = accept(listener_, nullptr, nullptr)) >= 0; close(client)) {
      std::string head;
      char byte;
      while (!head.ends_with("\r\n\r\n") && recv(client, &byte, 1, 0) == 1) head += byte;
      size_t number;
      {
        std::lock_guard lock(mutex_);
        number = requests_.size();
        requests_.push_back(head);
      }
      Reply reply = answer_(int(number), head);
      send(client, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
      while (reply.stall && recv(client, &byte, 1, 0) > 0) {
      }
    }
  }

  Answer answer_;
  int listener_ = -1, port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace folio

#pragma once
#include <mpi.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace folio {

// Error that names the call, with MPI's own words, unless `code` is MPI_SUCCESS.
void check_mpi(int code, const char* call);

// Messages on their way between this rank and others. What has arrived, or has left, may set off
// further ones. Messages are told apart by peer and tag alone: they may be posted in any order.
class Exchange {
 public:
  using Then = std::function<void()>;  // called by advance() once the message is through

  explicit Exchange(MPI_Comm ranks) : ranks_(ranks) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // `at` is left alone until the message is through. At most 2^31 - 1 bytes.
  void send(const void* at, size_t bytes, int to, int tag, Then then = {});
  void receive(void* at, size_t bytes, int from, int tag, Then then = {});

  // Moves on what is under way, without waiting: how many messages are through since the last call.
  int advance();
  bool done() const { return requests_.empty(); }
  std::vector<int> waiting_for() const;  // the ranks from which something is still to come, sorted

 private:
  struct Message {
    int peer;
    bool incoming;
    Then then;
  };
  MPI_Request* add(Message message);

  MPI_Comm ranks_;
  std::vector<MPI_Request> requests_;
  std::vector<Message> messages_;  // of the request at the same place
  std::vector<int> through_;       // the places that MPI_Testsome names
};

}  // namespace folio

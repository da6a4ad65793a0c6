#include "core/ranks/mpi/exchange.h"

#include <set>
#include <string>
#include <utility>

#include "core/check.h"

namespace folio {

void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("{}: {}", call, std::string(text, size_t(length)));
}

MPI_Request* Exchange::add(Message message) {
  messages_.push_back(std::move(message));
  return &requests_.emplace_back(MPI_REQUEST_NULL);
}

void Exchange::send(const void* at, size_t bytes, int to, int tag, Then then) {
  MPI_Request* request = add({to, false, std::move(then)});
  check_mpi(MPI_Isend(at, int(bytes), MPI_BYTE, to, tag, ranks_, request), "MPI_Isend");
}

void Exchange::receive(void* at, size_t bytes, int from, int tag, Then then) {
  MPI_Request* request = add({from, true, std::move(then)});
  check_mpi(MPI_Irecv(at, int(bytes), MPI_BYTE, from, tag, ranks_, request), "MPI_Irecv");
}

int Exchange::advance() {
  if (done()) return 0;
  through_.resize(requests_.size());
  int count = 0;
  check_mpi(MPI_Testsome(int(requests_.size()), requests_.data(), &count, through_.data(),
                         MPI_STATUSES_IGNORE),
            "MPI_Testsome");
  std::vector<Then> next;
  for (int i = 0; i < count; ++i) next.push_back(std::move(messages_[size_t(through_[i])].then));
  size_t kept = 0;
  for (size_t i = 0; i < requests_.size() && count > 0; ++i) {
    if (requests_[i] == MPI_REQUEST_NULL) continue;
    requests_[kept] = requests_[i];
    if (kept != i) messages_[kept] = std::move(messages_[i]);
    ++kept;
  }
  if (count > 0) {
    requests_.resize(kept);
    messages_.resize(kept);
  }
  for (Then& then : next)
    if (then) then();
  return count;
}

std::vector<int> Exchange::waiting_for() const {
  std::set<int> peers;
  for (const Message& message : messages_)
    if (message.incoming) peers.insert(message.peer);
  return {peers.begin(), peers.end()};
}

}  // namespace folio

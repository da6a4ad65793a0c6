#pragma once
#include <chrono>
#include <string>

#include "core/ranks/heartbeat/link.h"

namespace folio {

// Where rank 0 is to be met: the addresses of its host, the port on which it listens and a secret
// that keeps others out.
class Meeting {
 public:
  static constexpr char hello = 'h', welcome = 'w';  // kinds of messages

  // Listens. FOLIO_RANK0_ADDRESS, if it is set, is ADDRESS or ADDRESS:PORT (an IPv6 address in
  // brackets): then that one alone.
  Meeting();
  ~Meeting();
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  const std::string& invitation() const { return invitation_; }  // for the other ranks
  const std::string& secret() const { return secret_; }
  int fd() const { return fd_; }
  int accept();  // the descriptor of who waits; -1: nobody does

 private:
  int fd_ = -1;
  std::string secret_, invitation_;
};

// Meets rank 0 on whichever of its addresses it answers first: sends it `hello` with the secret and
// `text`, to which it answers `welcome`. Error that names the addresses and what to do, where it
// answers on none in time.
Link meet(const std::string& invitation, const std::string& text,
          std::chrono::milliseconds timeout);

}  // namespace folio

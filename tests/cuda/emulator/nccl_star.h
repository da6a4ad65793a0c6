#pragma once
#include <nccl.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace folio::emulator {

// What the emulated NCCL's ranks, processes of one machine, exchange: each with rank 0, over a
// socket whose path is the id. Waits end when it is aborted, and not before: the other end of a
// connection that broke leaves them waiting, as NCCL's kernels do.
class NcclStar {
 public:
  struct Collective {
    enum class Kind : uint32_t { all_reduce, reduce_scatter, all_gather, broadcast };
    Kind kind;
    uint32_t type, root;
    uint64_t bytes;  // a rank's: of x, the shard, the shard, x
    const void* send;
    void* receive;
  };

  static std::string listen();  // for rank 0 of this process; returns the path, or "" if it cannot
  NcclStar(std::string path, int rank, int size);
  ~NcclStar();
  NcclStar(const NcclStar&) = delete;
  NcclStar& operator=(const NcclStar&) = delete;

  bool connect();  // goes on with it; true once all are connected
  // Takes part in it, of memory that can be touched: the stream's work. Error if the ranks do not
  // ask for the same. Sums are taken by rank, beginning with 0, in the numbers' own type.
  void run(const Collective& collective);

  std::atomic<bool> aborted = false;
  std::atomic<ncclResult_t> error = ncclSuccess;

 private:
  struct Aborted {};
  void lead(const Collective& collective);  // rank 0
  void follow(const Collective& collective);
  void send(int to, const void* bytes, size_t size);
  void receive(int from, void* bytes, size_t size);
  void stop_listening();
  void wait(int fd, short events) const;
  [[noreturn]] void lose();  // a connection broke

  const std::string path_;
  const int rank_, size_;
  int listener_ = -1;
  std::vector<int> to_;  // by rank; -1
};

}  // namespace folio::emulator

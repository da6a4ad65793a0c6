#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/array.h"

namespace folio {

// A collective operation on its way. What it reads and writes is left alone until `wait` returns;
// then the calls that follow on the device see the result, and only a CPU's host has waited for it.
class Pending {
 public:
  class Work {
   public:
    virtual ~Work() = default;
    virtual bool done() = 0;
    virtual void wait() = 0;  // Error once Communicator::Options::timeout has passed
  };
  Pending() = default;  // done already
  explicit Pending(std::unique_ptr<Work> work) : work_(std::move(work)) {}

  bool done() const { return !work_ || work_->done(); }
  void wait() {
    if (work_) work_->wait();
    work_.reset();
  }

 private:
  std::unique_ptr<Work> work_;
};

// The processes that work on one run, its ranks: MPI's terms. All ranks make the same calls in the
// same order with arrays of the same shapes and dtypes, contiguous and on the communicator's
// device. Sums are taken in an order that the sizes and the number of ranks decide, so that a run
// is the same bytes twice, and every rank has the same bytes. A rank that is gone or silent for
// longer than the timeout ends the process it is waited for in (see Options).
class Communicator {
 public:
  struct Options {
    // For how long a rank may take no part before the others give up: longer than rank 0 takes to
    // save.
    std::chrono::seconds timeout{300};
  };

  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;  // 0 to size - 1
  virtual int size() const = 0;
  virtual Device device() const = 0;

  // x, f32 or f64 = the sum over the ranks of x
  virtual Pending all_reduce(Array x) = 0;
  // x [size n], shard [n], f32 or f64: shard = elements [rank n, (rank + 1) n) of the sum of x. It
  // may be that part of x itself; the rest of x is left as it is.
  virtual Pending reduce_scatter(Array x, Array shard) = 0;
  // shard [n], x [size n], any dtype: elements [r n, (r + 1) n) of x = rank r's shard, which may be
  // that part of x itself
  virtual Pending all_gather(Array shard, Array x) = 0;
  // x, any dtype = rank root's
  virtual Pending broadcast(Array x, int root) = 0;
  // x to one other rank, which receives into an array of the same dtype and size; between two ranks
  // in the order of the calls. For measuring: not every implementation has them (Error).
  virtual Pending send(Array x, int to);
  virtual Pending receive(Array x, int from);
  // Moves on what is under way: MPI does nothing by itself.
  virtual void progress() = 0;

  // What each rank gave, by rank; waits. Of small things that lie on the host.
  virtual std::vector<std::string> gather(const std::string& mine) = 0;

  // `lost` is called, on a thread of its own and once, when another rank is found gone: `why` names
  // it. Only where somebody watches beside the collectives; who does not never calls it.
  virtual void on_lost(std::function<void(const std::string& why)> lost) { (void)lost; }
};

// One rank alone.
std::unique_ptr<Communicator> one_process(Device device);

// The ranks that MPI started this process among, or whoever numbers processes as torchrun does; one
// rank alone where nobody did. Error where MPI did and this build has none, and where Slurm started
// several processes that MPI takes for one each. On a GPU NCCL carries the arrays.
std::unique_ptr<Communicator> join_ranks(Device device, const Communicator::Options& options);

}  // namespace folio

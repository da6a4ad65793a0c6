#include "core/cuda/nccl/nccl_ranks.h"

#include <cstring>

#include "core/check.h"
#include "core/cuda/nccl/watched_comm.h"
#include "core/cuda/stream.h"
#include "core/ranks/check_collective.h"

namespace folio {
namespace {

using cuda::nccl;
using cuda::WatchedComm;

ncclDataType_t type_of(const Array& x) {
  return x.dtype() == DType::f64 ? ncclFloat64 : ncclFloat32;
}

// A collective, and what it reads and writes: the arrays' memory is not used again before it.
class NcclWork : public Pending::Work {
 public:
  NcclWork(std::shared_ptr<WatchedComm> comm, std::shared_ptr<WatchedComm::Collective> collective,
           std::vector<Array> arrays)
      : comm_(std::move(comm)), collective_(std::move(collective)), arrays_(std::move(arrays)) {}
  ~NcclWork() override {
    if (!waited_) try {
        collective_->done.hold(cuda::stream());
      } catch (const Error&) {  // the device has failed, which its next call says
      }
  }

  bool done() override {
    comm_->check_alive();
    return collective_->done.reached();
  }

  void wait() override {
    comm_->check_alive();
    collective_->done.hold(cuda::stream());
    waited_ = true;
  }

 private:
  std::shared_ptr<WatchedComm> comm_;
  std::shared_ptr<WatchedComm::Collective> collective_;
  std::vector<Array> arrays_;
  bool waited_ = false;
};

class NcclRanks : public Communicator {
 public:
  NcclRanks(Device device, std::unique_ptr<Communicator> host, const Options& options)
      : device_(device), host_(std::move(host)) {
    check_versions();
    ncclUniqueId id{};
    if (rank() == 0) {
      const ncclResult_t result = nccl().get_unique_id(&id);
      // The others are told by an id that is none.
      if (result != ncclSuccess) host_->gather("");
      check(result == ncclSuccess, "rank 0 of {}: NCCL: ncclGetUniqueId: {}: {}", size(),
            nccl().get_error_string(result), nccl().get_last_error(nullptr));
    }
    const std::string given = host_->gather({id.internal, sizeof id.internal})[0];
    check(given.size() == sizeof id.internal,
          "rank {} of {}: rank 0 could not begin with NCCL: its own output says why", rank(),
          size());
    given.copy(id.internal, sizeof id.internal);
    comm_ = std::make_shared<WatchedComm>(id, rank(), size(), options.timeout);
    host_->on_lost([comm = std::weak_ptr(comm_)](const std::string& why) {
      if (auto alive = comm.lock()) alive->abort(why);
    });
  }

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  Device device() const override { return device_; }

  Pending all_reduce(Array x) override {
    check_all_reduce(*this, x);
    return queue("all_reduce", {x}, x, [&](void* to, ncclComm_t comm, cudaStream_t stream) {
      return nccl().all_reduce(to, to, size_t(x.size()), type_of(x), ncclSum, comm, stream);
    });
  }

  Pending reduce_scatter(Array x, Array shard) override {
    check_reduce_scatter(*this, x, shard);
    return queue("reduce_scatter", {x, shard}, shard,
                 [&](void* to, ncclComm_t comm, cudaStream_t stream) {
                   return nccl().reduce_scatter(x.address(), to, size_t(shard.size()), type_of(x),
                                                ncclSum, comm, stream);
                 });
  }

  Pending all_gather(Array shard, Array x) override {
    check_all_gather(*this, shard, x);
    return queue("all_gather", {shard, x}, x, [&](void* to, ncclComm_t comm, cudaStream_t stream) {
      return nccl().all_gather(shard.address(), to, shard.bytes(), ncclUint8, comm, stream);
    });
  }

  Pending broadcast(Array x, int root) override {
    check_broadcast(*this, x, root);
    return queue("broadcast", {x}, x, [&](void* to, ncclComm_t comm, cudaStream_t stream) {
      return nccl().broadcast(to, to, x.bytes(), ncclUint8, root, comm, stream);
    });
  }

  void progress() override {
    comm_->check_alive();
    host_->progress();
  }

  std::vector<std::string> gather(const std::string& mine) override {
    comm_->synchronize();
    return host_->gather(mine);
  }

 private:
  // One NCCL for all, or nobody waits for a rank that has none.
  void check_versions() {
    std::string mine, error;
    try {
      mine = "NCCL " + cuda::nccl_version();
    } catch (const Error& without) {
      error = without.what();
      mine = "no NCCL: " + error;
    }
    const std::vector<std::string> all = host_->gather(mine);
    check(error.empty(), "rank {} of {}: {}", rank(), size(), error);
    for (size_t other = 0; other < all.size(); ++other)
      check(all[other] == mine, "rank {} of {} has {}, and rank {} {}: all need the same", rank(),
            size(), mine, other, all[other]);
  }

  template <class Call>
  Pending queue(const char* name, std::vector<Array> arrays, const Array& to, const Call& call) {
    comm_->check_alive();
    if (to.size() == 0) return {};
    to.begin_write(name);
    const RunningOn here(device_);
    void* address = to.address();
    auto collective = comm_->queue(
        fmt::format("{} of {} {}", name, arrays[0].dtype(), arrays[0].shape()),
        [&](ncclComm_t comm, cudaStream_t stream) { return call(address, comm, stream); });
    return Pending(std::make_unique<NcclWork>(comm_, std::move(collective), std::move(arrays)));
  }

  const Device device_;
  std::unique_ptr<Communicator> host_;
  std::shared_ptr<WatchedComm> comm_;
};

}  // namespace

std::unique_ptr<Communicator> nccl_ranks(Device device, std::unique_ptr<Communicator> host,
                                         const Communicator::Options& options) {
  return std::make_unique<NcclRanks>(device, std::move(host), options);
}

}  // namespace folio

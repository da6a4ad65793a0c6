// The calls of NCCL. Communicators do not block: what one is asked for it does a step later, when
// its state is asked for, and until that is ncclSuccess again it refuses all else. A collective is
// the stream's work, and waits there for the other ranks until it is aborted.
#include <nccl.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "tests/cuda/emulator/device_memory.h"
#include "tests/cuda/emulator/nccl_star.h"
#include "tests/cuda/emulator/stream.h"

using folio::emulator::DeviceMemory;
using folio::emulator::NcclStar;
using Collective = NcclStar::Collective;

struct ncclComm {
  ncclComm(const std::string& path, int rank, int size)
      : star(std::make_shared<NcclStar>(path, rank, size)), rank(rank), size(size) {}

  const std::shared_ptr<NcclStar> star;  // also of the work that is still in a stream
  const int rank, size;
  std::mutex mutex;
  bool connected = false;
  bool settled = false;                   // nothing is in progress
  std::function<void()> asked = nullptr;  // to be done at the next step
};

namespace {

thread_local std::string last_error;

ncclResult_t refuse(ncclResult_t result, std::string why) {
  last_error = std::move(why);
  return result;
}

size_t size_of(ncclDataType_t type) {
  return type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : 1;
}

ncclResult_t ask(ncclComm_t comm, std::function<void()> work) {
  if (comm->star->error != ncclSuccess) return comm->star->error;
  if (!comm->settled)
    return refuse(ncclInvalidArgument, "the communicator still does what it was asked for before");
  comm->settled = false;
  comm->asked = std::move(work);
  return ncclInProgress;
}

ncclResult_t collect(ncclComm_t comm, cudaStream_t stream, Collective collective, size_t sent,
                     size_t received) {
  std::scoped_lock lock(comm->mutex);
  const DeviceMemory& memory = DeviceMemory::get();
  if (!memory.holds(collective.send, sent) || !memory.holds(collective.receive, received))
    return refuse(ncclInvalidArgument, "an address is not the device's");
  return ask(comm, [star = comm->star, stream, collective] {
    std::scoped_lock lock(folio::emulator::runtime_mutex());
    stream->add([star, collective] { star->run(collective); });
  });
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = 22800;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  const std::string path = NcclStar::listen();
  path.copy(id->internal, sizeof id->internal - 1);
  return path.empty() ? refuse(ncclSystemError, "no socket") : ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (rank < 0 || rank >= size) return refuse(ncclInvalidArgument, "rank out of range");
  if (config->magic != 0xcafebeef || config->blocking != 0)
    return refuse(ncclInvalidArgument, "the emulator has non-blocking communicators alone");
  *comm = new ncclComm(id.internal, rank, size);
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  std::scoped_lock lock(comm->mutex);
  return ask(comm, [] {});
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->star->aborted = true;
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  std::scoped_lock lock(comm->mutex);
  *state = ncclInProgress;
  if (!comm->connected)
    comm->connected = comm->star->connect();
  else if (comm->asked)
    std::exchange(comm->asked, nullptr)();
  else
    comm->settled = true, *state = ncclSuccess;
  if (comm->star->error != ncclSuccess) *state = comm->star->error;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}

const char* ncclGetLastError(ncclComm_t) { return last_error.c_str(); }

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type);
  return collect(comm, stream, {Collective::Kind::all_reduce, type, 0, bytes, send, receive}, bytes,
                 bytes);
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t receive_count,
                               ncclDataType_t type, ncclRedOp_t, ncclComm_t comm,
                               cudaStream_t stream) {
  const size_t bytes = receive_count * size_of(type);
  return collect(comm, stream, {Collective::Kind::reduce_scatter, type, 0, bytes, send, receive},
                 bytes * size_t(comm->size), bytes);
}

ncclResult_t ncclAllGather(const void* send, void* receive, size_t send_count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = send_count * size_of(type);
  return collect(comm, stream, {Collective::Kind::all_gather, type, 0, bytes, send, receive}, bytes,
                 bytes * size_t(comm->size));
}

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  const size_t bytes = count * size_of(type);
  return collect(comm, stream,
                 {Collective::Kind::broadcast, type, uint32_t(root), bytes, send, receive}, bytes,
                 bytes);
}

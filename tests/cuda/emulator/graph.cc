// CUDA's graphs: what a stream was asked for while it was captured, to be asked for again.
#include <cuda_runtime.h>

#include <mutex>
#include <set>
#include <vector>

#include "tests/cuda/emulator/stream.h"

using folio::emulator::is_stream;
using folio::emulator::runtime_mutex;

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

namespace {

std::set<CUgraph_st*> graphs;
std::set<CUgraphExec_st*> executable;

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (stream->captures()) return cudaErrorStreamCaptureUnsupported;
  stream->begin_capture();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (!stream->captures()) return cudaErrorInvalidValue;
  *graph = *graphs.insert(new CUgraph_st{stream->end_capture()}).first;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  std::scoped_lock lock(runtime_mutex());
  if (!graphs.contains(graph)) return cudaErrorInvalidValue;
  *made = *executable.insert(new CUgraphExec_st{graph->work}).first;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream) || !executable.contains(graph)) return cudaErrorInvalidResourceHandle;
  for (const auto& work : graph->work) stream->add(work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  std::scoped_lock lock(runtime_mutex());
  if (graphs.erase(graph) == 0) return cudaErrorInvalidValue;
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  std::scoped_lock lock(runtime_mutex());
  if (executable.erase(graph) == 0) return cudaErrorInvalidValue;
  delete graph;
  return cudaSuccess;
}

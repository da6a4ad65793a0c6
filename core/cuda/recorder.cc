#include "core/cuda/recorder.h"

#include <cuda_runtime.h>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/status.h"
#include "core/cuda/stream.h"

namespace folio {
namespace {

using cuda::check_status;

thread_local bool recording = false;

class Scope {
 public:
  Scope() {
    check(!recording, "record: a recording is part of no other");
    recording = true;
  }
  ~Scope() { recording = false; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};

// What the stream is asked for goes into a graph instead, from here to take().
class Capture {
 public:
  Capture() {
    check_status(cudaStreamBeginCapture(cuda::stream(), cudaStreamCaptureModeRelaxed),
                 "cudaStreamBeginCapture");
  }
  ~Capture() {
    if (taken_) return;
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(cuda::stream(), &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();  // whoever stopped it knows why
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaGraph_t take() {
    taken_ = true;
    cudaGraph_t graph = nullptr;
    check_status(cudaStreamEndCapture(cuda::stream(), &graph), "cudaStreamEndCapture");
    return graph;
  }

 private:
  bool taken_ = false;
};

// A CUDA graph: one call of the driver for all kernels of a step.
class CudaRecording final : public Recording {
 public:
  explicit CudaRecording(cudaGraph_t graph) {
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check_status(status, "cudaGraphInstantiate");
  }
  ~CudaRecording() override { cudaGraphExecDestroy(graph_); }  // once it is not in use any more
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;

  void run() override { check_status(cudaGraphLaunch(graph_, cuda::stream()), "cudaGraphLaunch"); }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

class CudaRecorder final : public Recorder {
 public:
  std::unique_ptr<Recording> record(std::function<void()> calls) override {
    Scope scope;
    calls();  // loads code and takes memory, neither of which belongs into a graph
    Capture capture;
    calls();
    return std::make_unique<CudaRecording>(capture.take());
  }
};

}  // namespace

namespace cuda {

bool is_recording() { return recording; }

}  // namespace cuda

Recorder& cuda_recorder() {
  static auto& operations = *new CudaRecorder;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

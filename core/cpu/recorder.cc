#include "core/cpu/cpu_backend.h"

namespace folio {
namespace {

// The CPU does what it is asked at once, and gains nothing by not being asked.
class CpuRecording final : public Recording {
 public:
  explicit CpuRecording(std::function<void()> calls) : calls_(std::move(calls)) {}
  void run() override { calls_(); }

 private:
  std::function<void()> calls_;
};

class CpuRecorder final : public Recorder {
 public:
  std::unique_ptr<Recording> record(std::function<void()> calls) override {
    return std::make_unique<CpuRecording>(std::move(calls));
  }
};

}  // namespace

Recorder& cpu_recorder() {
  static auto& operations = *new CpuRecorder;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio

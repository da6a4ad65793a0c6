#pragma once
#include <functional>
#include <memory>

namespace folio {

// A device's work that can be done again without the calls that asked for it.
class Recording {
 public:
  virtual ~Recording() = default;
  // Queues the work once more, on the same Arrays: it reads what they hold by then, and writes its
  // results to the ones that were written when it was recorded.
  virtual void run() = 0;
};

// For a step that is made many times with the same shapes, on a device where the host's calls take
// longer than the work that they ask for: they are made once.
class Recorder {
 public:
  virtual ~Recorder() = default;
  // The work that `calls` asks for. `calls` is called now, which may do the work, or by every
  // run(), or both: it leaves the host as it was, takes nothing from it and gives it nothing
  // (Memory::write and read are refused where calls are not made again), and the Arrays that it
  // uses outlive the recording.
  virtual std::unique_ptr<Recording> record(std::function<void()> calls) = 0;
};

}  // namespace folio

#pragma once
#include <functional>
#include <memory>

namespace folio {

// A device's work that can be done again without the calls that asked for it.
class Recording {
 public:
  virtual ~Recording() = default;
  // Queues the work once more. It reads what its Arrays from outside hold then, and leaves its
  // results where they were.
  virtual void run() = 0;
};

// On a device where asking takes longer than the work does, a step of the same shapes again and
// again is asked for once.
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

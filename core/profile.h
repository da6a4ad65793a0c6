#pragma once
#include <functional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/device.h"

namespace folio {

class Machine;

// The function that calls. Clang 14, which builds the fuzzers, has no std::source_location.
#if defined(__cpp_lib_source_location)
using Caller = std::source_location;
#else
class Caller {
 public:
  static constexpr Caller current(const char* function = __builtin_FUNCTION()) { return function; }
  constexpr const char* function_name() const { return function_; }

 private:
  constexpr Caller(const char* function) : function_(function) {}
  const char* function_;
};
#endif

// The calls of a device's operations that one function made.
struct OperationTime {
  std::string name;  // "layer_norm", "layer_norm, gradient", "AdamW::step"
  int64_t calls = 0;
  double seconds = 0;  // that the device took
  double bytes = 0;  // of the Arrays read or written, each once a call: the least traffic there is
  double flops = 0;  // of products and attention, multiply-adds counted as two
};

struct Profile {
  std::vector<OperationTime> operations;  // the longest first
  double seconds = 0;  // from the start of the first to the end of the last, with what lies between
};

// Runs work(), and times each operation of `device` that this thread asks for in it.
Profile profile(Device device, const std::function<void()>& work);

// What profile() collects with: BackendCall tells it of every operation, Array of every address
// that an operation asks for.
class Profiler {
 public:
  explicit Profiler(Device device);
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  static Profiler* active() { return active_; }  // of this thread, mostly none

  // Around an operation, by the function that asked for it; calls within one are part of it.
  void begin(Device device, const Caller& caller);
  void end(Device device);
  void touched(Device device, const void* at, size_t bytes);
  void add_flops(double flops);
  void set_bytes(double bytes);
  Profile result();  // waits for the device

 private:
  constinit inline static thread_local Profiler* active_ = nullptr;

  struct Call {
    const char* caller;
    double bytes = 0, flops = 0;
    bool bytes_are_said = false;
  };
  const Device device_;
  Machine& machine_;
  int depth_ = 0;
  std::vector<Call> calls_;
  std::vector<std::pair<const void*, size_t>> arrays_;  // address and bytes, of the call
};

// For an operation to say what it costs: multiply-adds counted as two ...
inline void count_flops(double flops) {
  if (Profiler* profiler = Profiler::active()) profiler->add_flops(flops);
}
// ... and its traffic, where it reads or writes a part of an Array alone.
inline void count_bytes(double bytes) {
  if (Profiler* profiler = Profiler::active()) profiler->set_bytes(bytes);
}

// "folio::Tensor folio::layer_norm(...)::<lambda(...)>" -> "layer_norm, gradient": the function,
// and whether it is a function within it, as autograd's gradients are.
std::string short_name(std::string_view function);

}  // namespace folio

#include "tests/emulated_backend.h"

#include <memory>
#include <utility>
#include <vector>

#include "core/cuda/cuda_backend.h"
#include "tests/cuda/emulator/emulator.h"
#include "tests/with_memory.h"

namespace folio {

namespace {

// The device's own memory, which can be used up.
class EmulatedMemory final : public Memory {
 public:
  std::shared_ptr<Storage> allocate(size_t bytes) override {
    if (++asked_ == used_up_at_) use_up();
    return memory_.allocate(bytes);
  }
  MemoryUse use() const override { return memory_.use(); }
  void forget_peak() override { memory_.forget_peak(); }
  uint64_t available() const override { return memory_.available(); }
  void write(const void* host, Array& to) override { memory_.write(host, to); }
  void write(const std::function<void(void* host)>& produce, Array& to) override {
    memory_.write(produce, to);
  }
  void read(const Array& from, void* host) override { memory_.read(from, host); }

  int64_t asked() const { return asked_; }
  void use_up_at(int64_t allocation) { used_up_at_ = allocation; }
  void give_back() {
    used_up_at_ = 0;
    held_.clear();
    emulator::give_back_memory();
  }

 private:
  // Every free block of the cache, the largest first.
  void use_up() {
    emulator::take_free_memory();
    constexpr size_t least_block = 64;
    for (size_t bytes = memory_.use().reserved; bytes >= least_block;) try {
        held_.push_back(memory_.allocate(bytes));
      } catch (const Error&) {
        bytes /= 2;
      }
  }

  Memory& memory_ = cuda_memory();
  int64_t asked_ = 0, used_up_at_ = 0;
  std::vector<std::shared_ptr<Storage>> held_;
};

EmulatedMemory& emulated_memory() {
  static auto& memory = *new EmulatedMemory;  // outlives every Array
  return memory;
}

}  // namespace

Device emulated_device() {
  static const Device device =
      register_backend("emulated", *new Backend(with_memory(cuda_backend(), emulated_memory())));
  return device;
}

int64_t emulated_allocations() { return emulated_memory().asked(); }

OutOfEmulatedMemory::OutOfEmulatedMemory(int64_t nth) {
  emulated_memory().use_up_at(emulated_memory().asked() + nth);
}
OutOfEmulatedMemory::~OutOfEmulatedMemory() { emulated_memory().give_back(); }

void use_schedule(std::string_view name) {
  using emulator::Schedule;
  constexpr std::pair<std::string_view, Schedule> schedules[] = {
      {"forward", Schedule::forward},
      {"reverse", Schedule::reverse},
      {"random", Schedule::random},
      {"warp_greedy", Schedule::warp_greedy}};
  for (const auto& [known, schedule] : schedules)
    if (name == known) return emulator::use(schedule);
  fail("schedule \"{}\" is not forward, reverse, random or warp_greedy", name);
}

}  // namespace folio

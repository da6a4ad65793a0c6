#pragma once
#include <cuda_runtime.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/cuda/emulator/emulator.h"
#include "tests/cuda/emulator/fiber.h"
#include "tests/cuda/emulator/shared_memory.h"
#include "tests/cuda/emulator/turns.h"

namespace folio::emulator {

// What the lanes of a warp do together, as one step: each brings `lanes[lane]`, and compute, called
// by the last, does all the work.
struct WarpStep {
  const char* name;
  void (*compute)(void* const* lanes, uint32_t mask);
};

// The block that runs. Its threads run on fibers, one at a time. A fiber is taken only when the
// threads so far all wait for others: a kernel without barriers and warp steps is a plain loop.
class Block {
 public:
  Block(Schedule schedule, uint64_t seed) : schedule_(schedule), random_(seed) {}

  // Every block of a grid; `body` is a thread's. Error if a thread cannot go on, or if one of a
  // grid that may start `early` did not wait for the kernel before.
  void run_grid(dim3 grid, dim3 block, size_t shared_bytes, bool early,
                const std::function<void()>& body);

  // For the thread that runs. An Error that one throws ends the launch.
  void barrier();
  void after_previous_kernel() { ++waited_; }
  void together(const WarpStep& step, uint32_t mask, void* mine);
  void warp_barrier(uint32_t mask);
  void copy_async(void* to, const uint32_t (&words)[4]);
  void commit_copies();
  void wait_for_copies(int newest);  // all but those of the newest groups
  void* shared_variable(const void* key, size_t bytes);
  void* dynamic_shared(size_t bytes);
  uint32_t lane() const { return uint32_t(running_ % 32); }

  void run_threads();  // the one that was chosen, and others that have not started; of a fiber

  static Block& current();  // the one that runs

 private:
  struct Copy {
    void* to;
    uint32_t words[4];
    int group;
  };
  struct Thread {
    Fiber* fiber = nullptr;  // once it has started
    std::vector<Copy> copies;
    int groups = 0;  // of copies, that have been committed
  };
  struct Warp {
    uint32_t exists = 0, ended = 0, at_barrier = 0;  // lanes
    const WarpStep* step = nullptr;                  // in which `arrived` of `mask` wait
    uint32_t mask = 0, arrived = 0;
    void* lanes[32] = {};
    int steps = 0;  // taken so far
    char sync[2] = {};
  };
  void run(uint3 index);
  void check_together(const WarpStep& step, uint32_t mask);
  bool choose();          // the thread that goes on now; false if none can
  void wait();            // while others go on, until this thread is chosen
  Fiber& chosen_fiber();  // of the thread that was chosen
  Warp& warp() { return warps_[size_t(running_) / 32]; }
  std::string place(size_t warp, uint32_t lanes) const;
  std::string why_stuck() const;

  Schedule schedule_;
  Random random_;
  const std::function<void()>* body_ = nullptr;
  uint64_t waited_ = 0;  // threads of the grid, for the kernel before
  SharedMemory shared_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::optional<Turns> turns_;
  int running_ = 0;
  size_t waiting_ = 0, ended_ = 0;
  int barriers_ = 0;  // passed so far
  char sync_[2] = {};
  std::string fault_;
  Fiber host_;
};

}  // namespace folio::emulator

#include "tests/cuda/emulator/block.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "core/check.h"

namespace folio::emulator {
namespace {

Block* running_block = nullptr;

// Kept from launch to launch. Those that are not idle hold a thread of the block that runs.
std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<Fiber*> idle_fibers;

constexpr WarpStep warp_barrier_step{"__syncwarp", [](void* const*, uint32_t) {}};

void add_fiber() {
  fibers.push_back(std::make_unique<Fiber>([] {
    for (;;) running_block->run_threads();
  }));
  idle_fibers.push_back(fibers.back().get());
}

// "lanes 0-3, 7"
std::string list_of(uint32_t lanes) {
  std::string text = std::popcount(lanes) == 1 ? "lane" : "lanes";
  const char* separator = " ";
  for (int i = 0; i < 32; ++i) {
    if (!(lanes >> i & 1)) continue;
    int last = i;
    while (last < 31 && lanes >> (last + 1) & 1) ++last;
    text += separator + (last > i ? fmt::format("{}-{}", i, last) : std::to_string(i));
    separator = ", ";
    i = last;
  }
  return text;
}

uint3 index_in(uint64_t i, dim3 shape) {
  return {unsigned(i % shape.x), unsigned(i / shape.x % shape.y), unsigned(i / shape.x / shape.y)};
}

}  // namespace

Block& Block::current() { return *running_block; }

void Block::run_grid(dim3 grid, dim3 block, size_t shared_bytes, bool early,
                     const std::function<void()>& body) {
  running_block = this;
  body_ = &body;
  gridDim = grid;
  blockDim = block;
  threads_.resize(size_t(block.x) * block.y * block.z);
  std::vector<uint64_t> order(uint64_t(grid.x) * grid.y * grid.z);
  std::iota(order.begin(), order.end(), 0);
  if (schedule_ == Schedule::reverse) std::reverse(order.begin(), order.end());
  if (schedule_ == Schedule::random) std::shuffle(order.begin(), order.end(), random_);
  for (uint64_t i : order) {
    shared_.begin_block(shared_bytes);
    run(index_in(i, grid));
  }
  happens_after(this);  // every thread's end
  const uint64_t threads = threads_.size() * order.size();
  check(!early || waited_ == threads,
        "a kernel that may start early began without after_previous_kernel() in {} of {} threads",
        threads - waited_, threads);
}

void Block::run(uint3 index) {
  blockIdx = index;
  for (Thread& thread : threads_) {
    thread.fiber = nullptr;
    thread.copies.clear();
    thread.groups = 0;
  }
  warps_.assign((threads_.size() + 31) / 32, {});
  turns_.emplace(schedule_, random_, warps_.size());
  for (size_t w = 0; w < warps_.size(); ++w) {
    const size_t lanes = std::min<size_t>(32, threads_.size() - w * 32);
    warps_[w].exists = lanes == 32 ? ~0u : (1u << lanes) - 1;
    turns_->add(w, warps_[w].exists);
  }
  waiting_ = ended_ = 0;
  // ThreadSanitizer takes what runs on one fiber for one thread, which knows all that the thread
  // that made it had done.
  if (under_tsan)
    for (size_t i = 0; i < threads_.size(); ++i) add_fiber();
  happens_before(&body_);
  choose();
  host_.switch_to(chosen_fiber());
  if (fault_.empty() && ended_ < threads_.size()) fault_ = why_stuck();
  if (under_tsan || !fault_.empty()) {  // fibers that hold a thread, or held one
    idle_fibers.clear();
    fibers.clear();
  }
  if (!fault_.empty()) happens_after(this);
  check(fault_.empty(), "CUDA kernel, block ({}, {}, {}), {}", index.x, index.y, index.z, fault_);
}

bool Block::choose() {
  const int next = turns_->next();
  if (next < 0) return false;
  running_ = next;
  threadIdx = index_in(uint64_t(next), blockDim);
  return true;
}

Fiber& Block::chosen_fiber() {
  Thread& thread = threads_[size_t(running_)];
  if (thread.fiber) return *thread.fiber;
  if (idle_fibers.empty()) add_fiber();
  thread.fiber = idle_fibers.back();
  idle_fibers.pop_back();
  return *thread.fiber;
}

void Block::run_threads() {
  Fiber& fiber = *threads_[size_t(running_)].fiber;
  bool more = true;
  do {
    threads_[size_t(running_)].fiber = &fiber;
    happens_after(&body_);
    try {
      (*body_)();
    } catch (const Error& error) {  // only once it is unwound can the fiber be left for good
      Unseen unseen;
      fault_ = place(size_t(running_) / 32, 1u << lane()) + ": " + error.what();
    }
    happens_before(this);
    if (!fault_.empty()) fiber.switch_to(host_);
    warp().ended |= 1u << lane();
    ++ended_;
    more = choose();
  } while (!under_tsan && more && !threads_[size_t(running_)].fiber);
  Fiber& next = more ? chosen_fiber() : host_;
  if (!under_tsan) idle_fibers.push_back(&fiber);
  fiber.switch_to(next);
}

void Block::wait() {
  Fiber& mine = *threads_[size_t(running_)].fiber;
  happens_before(this);  // should this be its end
  mine.switch_to(choose() ? chosen_fiber() : host_);
}

void Block::barrier() {
  void* sync = &sync_[barriers_ % 2];
  happens_before(sync);
  warp().at_barrier |= 1u << lane();
  if (++waiting_ < threads_.size()) {
    wait();
  } else {
    for (size_t w = 0; w < warps_.size(); ++w) {
      const uint32_t mine = w == size_t(running_) / 32 ? 1u << lane() : 0;
      turns_->add(w, warps_[w].exists & ~mine);
      warps_[w].at_barrier = 0;
    }
    waiting_ = 0;
    ++barriers_;
  }
  happens_after(sync);
}

void Block::check_together(const WarpStep& step, uint32_t mask) {
  const Warp& warp = this->warp();
  if (mask >> lane() & 1 && !(mask & ~warp.exists) &&
      (!warp.step || (warp.step == &step && warp.mask == mask)))
    return;
  Unseen unseen;
  check(mask >> lane() & 1, "{} with a mask of {}", step.name, list_of(mask));
  check(!(mask & ~warp.exists), "{} with {}, which the block does not have", step.name,
        list_of(mask & ~warp.exists));
  fail("{} with a mask of {}, while {} are in {} with a mask of {}", step.name, list_of(mask),
       list_of(warp.arrived), warp.step->name, list_of(warp.mask));
}

void Block::together(const WarpStep& step, uint32_t mask, void* mine) {
  check_together(step, mask);
  Warp& warp = this->warp();
  const uint32_t me = 1u << lane();
  warp.step = &step;
  warp.mask = mask;
  warp.arrived |= me;
  warp.lanes[lane()] = mine;
  if (warp.arrived != mask) return wait();
  step.compute(warp.lanes, mask);
  warp.step = nullptr;
  warp.arrived = 0;
  ++warp.steps;
  turns_->add(size_t(running_) / 32, mask & ~me);
}

void Block::warp_barrier(uint32_t mask) {
  void* sync = &warp().sync[warp().steps % 2];
  happens_before(sync);
  together(warp_barrier_step, mask, nullptr);
  happens_after(sync);
}

void Block::copy_async(void* to, const uint32_t (&words)[4]) {
  Unseen unseen;
  Thread& thread = threads_[size_t(running_)];
  thread.copies.push_back({to, {words[0], words[1], words[2], words[3]}, thread.groups});
}

void Block::commit_copies() { ++threads_[size_t(running_)].groups; }

void Block::wait_for_copies(int newest) {
  Thread& thread = threads_[size_t(running_)];
  std::erase_if(thread.copies, [&](const Copy& copy) {
    const bool done = copy.group < thread.groups - newest;
    if (done) {
      volatile uint32_t* to = static_cast<volatile uint32_t*>(copy.to);
      for (int i = 0; i < 4; ++i) to[i] = copy.words[i];
    }
    return done;
  });
}

void* Block::shared_variable(const void* key, size_t bytes) {
  Unseen unseen;
  void* variable = shared_.variable(key, bytes);
  check(variable != nullptr,
        "more shared memory than a block may have, with {} bytes of it dynamic",
        shared_.dynamic_bytes());
  return variable;
}

void* Block::dynamic_shared(size_t bytes) {
  Unseen unseen;
  check(bytes <= shared_.dynamic_bytes(),
        "{} bytes of dynamic shared memory, of which the launch gave {}", bytes,
        shared_.dynamic_bytes());
  return shared_.dynamic();
}

std::string Block::place(size_t warp, uint32_t lanes) const {
  return fmt::format("warp {}, {}", warp, list_of(lanes));
}

// Nobody can go on: lanes wait for others of their warp, or threads at the barrier.
std::string Block::why_stuck() const {
  for (size_t w = 0; w < warps_.size(); ++w) {
    const Warp& warp = warps_[w];
    if (!warp.step) continue;
    const uint32_t missing = warp.mask & ~warp.arrived;
    std::string why = fmt::format("{}: {} waits for {}", place(w, warp.arrived), warp.step->name,
                                  list_of(missing));
    if (uint32_t ended = missing & warp.ended) why += fmt::format("; {} ended", list_of(ended));
    if (uint32_t others = missing & warp.at_barrier)
      why += fmt::format("; {} at __syncthreads", list_of(others));
    return why;
  }
  std::string why = "__syncthreads was not reached by all threads";
  for (size_t w = 0; w < warps_.size(); ++w)
    if (warps_[w].ended) why += fmt::format("; {} ended", place(w, warps_[w].ended));
  return why;
}

}  // namespace folio::emulator

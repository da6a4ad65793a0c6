#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/process/control_groups.h"
#include "core/process/stop.h"

namespace folio {
namespace {

// A loop is over in microseconds and the next one follows as soon, so a worker first waits where it
// is, then sleeps. Nobody waits for a worker to arrive: on a busy machine, the thread that called
// runs the loop by itself.
class ThreadPool {
 public:
  static constexpr int most = 64;

  static ThreadPool& instance() {
    static ThreadPool& pool = *new ThreadPool;  // workers wait in it until the process ends
    return pool;
  }

  static int available() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0
                    ? CPU_COUNT(&allowed)
                    : int(std::thread::hardware_concurrency());
    return std::min(threads_for(control_group_limits().cpus, count), most);
  }

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  void resize(int threads) {
    std::lock_guard lock(busy_);
    if (threads == this->threads()) return;
    stopping_ = true;
    signal_.fetch_add(2);
    signal_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
    threads_ = threads;
    // Signals are for the threads of the program: a worker is born with all of them blocked, but
    // for those of a fault of its own, which would end the process whatever their handler.
    sigset_t all, before;
    sigfillset(&all);
    for (int fault : {SIGBUS, SIGFPE, SIGILL, SIGSEGV}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void run(int64_t n, void (*task)(void*, int64_t), void* context) {
    std::unique_lock lock(busy_, std::defer_lock);
    const bool interruptible = Interruptible::here();
    if (n <= 1 || threads() == 1 || inside_ || !lock.try_lock()) {
      for (int64_t i = 0; i < n; ++i) {
        if (interruptible) throw_if_stopped();
        task(context, i);
      }
      return;
    }
    task_ = task;
    context_ = context;
    interruptible_ = interruptible;
    device_ = RunningOn::device();
    const int64_t count = threads();
    for (int64_t t = 0; t < count; ++t) {
      shares_[size_t(t)].next.store(n * t / count, std::memory_order_relaxed);
      shares_[size_t(t)].end = n * (t + 1) / count;
    }
    signal_.fetch_add(1);  // opens the loop
    signal_.notify_all();
    work(0);
    signal_.fetch_add(1);  // closes it
    for (int spins = 0; at_work_.load() > 0; ++spins) pause(spins);
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  ThreadPool() { resize(available()); }

  // The part of a loop that one thread begins with; the others help once theirs is done.
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };

  static bool open(uint32_t signal) { return signal % 2 == 1; }

  static void pause(int spins) {
    if (spins >= 1000) return std::this_thread::yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  void work(int own) {
    inside_ = true;
    const RunningOn running(device_);
    const int count = threads();
    try {
      for (int t = 0; t < count; ++t) {
        Share& share = shares_[size_t((own + t) % count)];
        int64_t i;
        while ((i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end) {
          if (interruptible_) throw_if_stopped();
          task_(context_, i);
        }
      }
    } catch (...) {
      std::lock_guard lock(failing_);
      if (!failure_) failure_ = std::current_exception();
    }
    inside_ = false;
  }

  void serve(int own) {
    uint32_t seen = 0;
    while (true) {
      uint32_t now = signal_.load();
      for (int spins = 0; now == seen && spins < patience; ++spins, now = signal_.load()) pause(0);
      if (now == seen) {
        signal_.wait(seen);
        continue;
      }
      // A loop cannot end, nor the next begin, while at_work_ counts a thread that saw it open.
      at_work_.fetch_add(1);
      seen = signal_.load();
      if (open(seen)) work(own);
      at_work_.fetch_sub(1);
      if (stopping_) return;
    }
  }

  static constexpr int patience = 4000;  // pauses, about 50 us
  inline static thread_local bool inside_ = false;

  std::mutex busy_;  // held while a loop runs
  std::vector<std::thread> workers_;
  std::atomic<int> threads_ = 1;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<uint32_t> signal_ = 0;  // odd while a loop is open
  alignas(64) std::atomic<int> at_work_ = 0;      // workers that may touch what follows
  void (*task_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  bool interruptible_ = false;
  std::optional<Device> device_;  // whose operation the loop belongs to
  std::array<Share, most> shares_;
  std::mutex failing_;
  std::exception_ptr failure_;
};

}  // namespace

int parallel_threads() { return ThreadPool::instance().threads(); }

void set_parallel_threads(int threads) {
  ThreadPool::instance().resize(threads > 0 ? std::min(threads, ThreadPool::most)
                                            : ThreadPool::available());
}

void run_parallel(int64_t n, void (*task)(void*, int64_t), void* context) {
  ThreadPool::instance().run(n, task, context);
}

}  // namespace folio

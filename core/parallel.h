#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace folio {

// How many threads share a loop of the CPU's. Until it is set: one for each processor that this
// process may use, or for as many as its control groups give it the time of.
int parallel_threads();
// 0: as at the start. Must not be called while a loop runs.
void set_parallel_threads(int threads);

// task(context, i) for i in [0, n); what parallel_for makes of its f.
void run_parallel(int64_t n, void (*task)(void* context, int64_t i), void* context);

// Runs f(i) for i in [0, n), on all threads; a loop inside a loop, or beside the loop of another
// thread, runs on its caller alone. A thread begins with its own contiguous share, the same one in
// every call, so that it finds the rows that it wrote before in its own cache; what is left goes to
// whichever thread is free. f must give the same result whoever runs it: split work by shape, never
// by the number of threads. What f throws leaves parallel_for once no thread runs f any more, and
// so does a request to stop where the caller is Interruptible (core/process/stop.h).
template <class F>
void parallel_for(int64_t n, F&& f) {
  run_parallel(
      n, [](void* context, int64_t i) { (*static_cast<std::remove_reference_t<F>*>(context))(i); },
      const_cast<void*>(static_cast<const void*>(std::addressof(f))));
}

// Runs f(begin, end) over [0, n) in blocks of `block` elements.
template <class F>
void parallel_blocks(int64_t n, int64_t block, F&& f) {
  parallel_for((n + block - 1) / block,
               [&](int64_t i) { f(i * block, std::min(n, (i + 1) * block)); });
}

}  // namespace folio

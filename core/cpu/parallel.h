#pragma once
#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace folio {

// The part of [0, n) that one thread begins with; the others help once theirs is done.
struct alignas(64) ParallelShare {
  std::atomic<int64_t> next;
  int64_t end;
};

// Runs f(i) for i in [0, n), on all threads. A thread begins with its own contiguous share, the
// same one in every call, so that it finds the rows that it wrote before in its own cache; what is
// left goes to whichever thread is free. f must give the same result whoever runs it: split work by
// shape, never by the number of threads.
template <class F>
void parallel_for(int64_t n, F&& f) {
  constexpr int most = 64;  // shares
  const int count = std::min(omp_get_max_threads(), most);
  if (n <= 1 || count == 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) f(i);
    return;
  }
  std::array<ParallelShare, most> shares;
  for (int t = 0; t < count; ++t) {
    shares[size_t(t)].next.store(n * t / count, std::memory_order_relaxed);
    shares[size_t(t)].end = n * (t + 1) / count;
  }
#pragma omp parallel
  {
    const int own = omp_get_thread_num();
    for (int t = 0; t < count; ++t) {
      ParallelShare& share = shares[size_t((own + t) % count)];
      int64_t i;
      while ((i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end) f(i);
    }
  }
}

// Runs f(begin, end) over [0, n) in blocks of `block` elements.
template <class F>
void parallel_blocks(int64_t n, int64_t block, F&& f) {
  parallel_for((n + block - 1) / block,
               [&](int64_t i) { f(i * block, std::min(n, (i + 1) * block)); });
}

}  // namespace folio

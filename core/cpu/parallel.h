#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace folio {

// Runs f(i) for i in [0, n), on all threads. Chunks of `i` go to whichever thread is free, so f
// must give the same result whoever runs it: split work by shape, never by the number of threads.
template <class F>
void parallel_for(int64_t n, F&& f) {
  if (n <= 1 || omp_get_max_threads() == 1 || omp_in_parallel()) {
    for (int64_t i = 0; i < n; ++i) f(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < n; ++i) f(i);
}

// Runs f(begin, end) over [0, n) in blocks of `block` elements.
template <class F>
void parallel_blocks(int64_t n, int64_t block, F&& f) {
  parallel_for((n + block - 1) / block,
               [&](int64_t i) { f(i * block, std::min(n, (i + 1) * block)); });
}

}  // namespace folio

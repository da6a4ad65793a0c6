#pragma once
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace folio {

// Maps a sequence on `threads` threads: next() gives an item or nothing at the end, work(item) its
// result, and take(result) gets the results in the items' order. Only work runs on several threads
// at once; at most 4 items a thread are between next and take. The first item whose work fails ends
// it all with its exception.
template <class Next, class Work, class Take>
void map_in_order(int threads, Next&& next, Work&& work, Take&& take) {
  using Result = decltype(work(*next()));
  std::mutex mutex;
  std::condition_variable taken_one;
  std::map<size_t, Result> waiting;  // for the items before them
  size_t given = 0, taken = 0, failed = SIZE_MAX;
  std::exception_ptr error;
  bool ended = false;

  auto fail_at = [&](size_t item) {  // under the lock
    if (item > failed) return;
    failed = item;
    error = std::current_exception();
    taken_one.notify_all();
  };
  auto run = [&] {
    std::unique_lock lock(mutex);
    while (true) {
      taken_one.wait(lock, [&] { return error || ended || given - taken < 4 * size_t(threads); });
      if (error || ended) return;
      size_t item = given++;
      try {
        auto input = next();
        if (!input) {
          ended = true;
          taken_one.notify_all();
          return;
        }
        lock.unlock();
        Result result = work(std::move(*input));
        lock.lock();
        waiting.emplace(item, std::move(result));
        for (auto first = waiting.begin(); first != waiting.end() && first->first == taken;
             first = waiting.erase(first), ++taken)
          take(std::move(first->second));
        taken_one.notify_all();
      } catch (...) {
        if (!lock.owns_lock()) lock.lock();
        fail_at(item);
      }
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  others.clear();  // joins
  if (error) std::rethrow_exception(error);
}

}  // namespace folio

#include "data/tokenizer/training/pair_queue.h"

namespace folio {

void PairQueue::add(Pair pair, int64_t count, Places places) {
  if (count < min_frequency_) return;
  places.shrink_to_fit();
  known_.emplace(key_of(pair), Known{count, std::move(places)});
  heap_.push({count, key_of(pair)});
}

void PairQueue::subtract(Pair pair, int64_t count) {
  auto found = known_.find(key_of(pair));
  if (found == known_.end()) return;
  found->second.count -= count;
  if (found->second.count < min_frequency_) known_.erase(found);
}

std::optional<PairQueue::Best> PairQueue::take() {
  while (!heap_.empty()) {
    Candidate top = heap_.top();
    heap_.pop();
    auto found = known_.find(top.key);
    if (found == known_.end()) continue;
    if (found->second.count < top.count) {
      heap_.push({found->second.count, top.key});
      continue;
    }
    Best best{{int32_t(top.key >> 32), int32_t(top.key & UINT32_MAX)},
              std::move(found->second.places)};
    known_.erase(found);
    return best;
  }
  return {};
}

}  // namespace folio

#include "data/tokenizer/pretoken_cache.h"

namespace folio {

std::unique_ptr<PretokenCache> PretokenCaches::take() {
  {
    std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<PretokenCache> cache = std::move(free_.back());
      free_.pop_back();
      return cache;
    }
  }
  return std::make_unique<PretokenCache>();
}

void PretokenCaches::give_back(std::unique_ptr<PretokenCache> cache) {
  std::lock_guard lock(mutex_);
  free_.push_back(std::move(cache));
}

}  // namespace folio

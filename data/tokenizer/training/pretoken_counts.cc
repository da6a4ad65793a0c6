#include "data/tokenizer/training/pretoken_counts.h"

#include <functional>

#include "core/check.h"
#include "data/tokenizer/pretokenizers/gpt2.h"

namespace folio {

uint64_t PretokenCounts::hash_of(std::string_view pretoken) {
  return std::hash<std::string_view>()(pretoken);
}

void PretokenCounts::add_text(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    size_t end = pretoken_end(text, at);
    add(text.substr(at, end - at), 1);
    at = end;
  }
}

void PretokenCounts::add(std::string_view pretoken, uint64_t hash, int64_t count) {
  if (2 * (size_ + 1) > slots_.size()) grow();
  check(pretoken.size() <= UINT32_MAX,
        "the text has {} bytes without a place to cut it; no token comes of so long a word",
        pretoken.size());
  size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    Slot& slot = slots_[i];
    if (slot.count == 0) {
      slot = {uint32_t(hash), uint32_t(pretoken.size()), text_.size(), count};
      text_ += pretoken;
      ++size_;
      return;
    }
    if (slot.hash == uint32_t(hash) && text_of(slot) == pretoken) {
      slot.count += count;
      return;
    }
  }
}

void PretokenCounts::grow() {
  std::vector<Slot> old(std::max<size_t>(2 * slots_.size(), 1024));
  old.swap(slots_);
  size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.count == 0) continue;
    size_t i = slot.hash & mask;
    while (slots_[i].count > 0) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

void SharedPretokenCounts::add(const PretokenCounts& part) {
  // Sorted by shard first, so that each is locked once.
  struct Entry {
    std::string_view pretoken;
    uint64_t hash;
    int64_t count;
  };
  std::array<std::vector<Entry>, 64> entries;
  part.each([&](std::string_view pretoken, int64_t count) {
    uint64_t hash = PretokenCounts::hash_of(pretoken);
    entries[hash >> 58].push_back({pretoken, hash, count});
  });
  for (size_t i = 0; i < shards_.size(); ++i) {
    if (entries[i].empty()) continue;
    std::lock_guard lock(shards_[i].mutex);
    for (const Entry& entry : entries[i])
      shards_[i].counts.add(entry.pretoken, entry.hash, entry.count);
  }
}

size_t SharedPretokenCounts::size() const {
  size_t size = 0;
  for (const Shard& shard : shards_) size += shard.counts.size();
  return size;
}

}  // namespace folio

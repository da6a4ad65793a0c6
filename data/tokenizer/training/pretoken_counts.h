#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// How often each pretoken (pretokenizers/gpt2.h) occurs. Its memory grows with the distinct ones,
// whatever the length of the text. One thread at a time.
class PretokenCounts {
 public:
  // `text` is UTF-8 that is cut off at its neighbours where no pretoken is (last_safe_cut).
  void add_text(std::string_view text);
  void add(std::string_view pretoken, int64_t count) { add(pretoken, hash_of(pretoken), count); }
  size_t size() const { return size_; }  // distinct pretokens

  // f(std::string_view pretoken, int64_t count), in no particular order.
  template <class F>
  void each(F&& f) const {
    for (const Slot& slot : slots_)
      if (slot.count > 0) f(text_of(slot), slot.count);
  }

 private:
  friend class SharedPretokenCounts;
  struct Slot {
    uint32_t hash = 0, bytes = 0;
    uint64_t at = 0;    // in text_
    int64_t count = 0;  // 0: the slot is free
  };
  static uint64_t hash_of(std::string_view pretoken);
  std::string_view text_of(const Slot& slot) const {
    return std::string_view(text_).substr(slot.at, slot.bytes);
  }
  void add(std::string_view pretoken, uint64_t hash, int64_t count);
  void grow();

  std::vector<Slot> slots_;  // a hash table, a power of two of slots, probed linearly
  std::string text_;         // the pretokens, one after the other
  size_t size_ = 0;
};

// The sum of what many threads count; the same whoever counted what.
class SharedPretokenCounts {
 public:
  void add(const PretokenCounts& part);  // any thread, at any time

  // Once all have added theirs:
  size_t size() const;
  template <class F>
  void each(F&& f) const {
    for (const Shard& shard : shards_) shard.counts.each(f);
  }

 private:
  struct Shard {
    std::mutex mutex;
    PretokenCounts counts;
  };
  std::array<Shard, 64> shards_;  // by the hash
};

}  // namespace folio

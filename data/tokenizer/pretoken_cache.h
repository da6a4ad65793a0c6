#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace folio {

// The ids of the short pretokens met last: text repeats its words. One thread at a time.
class PretokenCache {
 public:
  static constexpr size_t max_bytes = 15, max_ids = 11;

  struct Key {
    uint64_t low = 0, high = 0;  // the bytes, zeros, and in the last byte their number
    bool operator==(const Key&) const = default;
  };
  struct alignas(64) Entry {
    Key key;  // zero: empty
    int32_t ids[max_ids];
    uint32_t count;
  };

  PretokenCache() : entries_(size_t(1) << bits) {}

  // Of text[at, at + bytes), 0 < bytes <= max_bytes.
  static Key key(std::string_view text, size_t at, size_t bytes) {
    uint64_t low = 0, high = 0;
    if (at + 16 <= text.size()) {
      std::memcpy(&low, text.data() + at, 8);
      std::memcpy(&high, text.data() + at + 8, 8);
    } else {
      char padded[16] = {};
      std::memcpy(padded, text.data() + at, bytes);
      std::memcpy(&low, padded, 8);
      std::memcpy(&high, padded + 8, 8);
    }
    bool fits = bytes < 8;  // in `low`, with room to spare: shifts by 64 are undefined
    uint64_t mask = (uint64_t(1) << (8 * (bytes & 7))) - 1;
    return {fits ? low & mask : low, (fits ? 0 : high & mask) | uint64_t(bytes) << 56};
  }
  // Where the ids of a pretoken are, if its key is there, or belong.
  Entry& operator[](Key key) {
    uint64_t mixed = (key.low * 0x9e3779b97f4a7c15 ^ key.high) * 0xd6e8feb86659fd93;
    return entries_[mixed >> (64 - bits)];
  }

 private:
  static constexpr int bits = 14;
  std::vector<Entry> entries_;
};

// Caches for as many threads as encode at the same time.
class PretokenCaches {
 public:
  // A cache that nobody else uses until it is given back.
  std::unique_ptr<PretokenCache> take();
  void give_back(std::unique_ptr<PretokenCache> cache);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PretokenCache>> free_;
};

}  // namespace folio

#pragma once
#include <cstddef>
#include <map>
#include <memory>

namespace folio::emulator {

// The memory of the device: a range of addresses that nobody can read or write but while Opened
// lives. An address is never used twice, so that what was freed cannot be touched either, and pages
// that nobody can touch lie between allocations.
class DeviceMemory {
 public:
  static constexpr size_t page = size_t{64} << 10;  // a multiple of every page size
  static constexpr size_t total = size_t{4} << 30;

  static DeviceMemory& get();

  void fail_allocation(int nth) { until_failure_ = nth; }
  size_t allocated() const { return allocated_; }
  size_t free_bytes() const { return total - allocated_ - of_others_; }
  void take_free() { of_others_ += free_bytes(); }
  void give_back_taken() { of_others_ = 0; }

  // 256-byte aligned, up against the pages after it; null if there is no more.
  void* allocate(size_t bytes);
  bool free(void* block);  // false if it is none

  // CUDA's virtual memory: addresses [begin, begin + bytes), and memory behind some of them. Sizes
  // are multiples of `page`.
  char* reserve(size_t bytes);
  bool take(size_t bytes);  // counts memory; false if there is no more
  void give_back(size_t bytes);
  bool map(char* begin, size_t bytes);
  bool unmap(char* begin, size_t bytes);
  bool make_accessible(char* begin, size_t bytes);

  // Whether the device can touch all of [begin, begin + bytes).
  bool holds(const void* begin, size_t bytes) const;

  class Opened {
   public:
    Opened() { get().open(); }
    ~Opened() { get().close(); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
  };

 private:
  struct Pages {
    size_t bytes;
    bool accessible;
    char* block = nullptr;  // of cudaMalloc, which lies at the end
    size_t block_bytes = 0;
  };
  DeviceMemory();
  void open();
  void close();
  void protect(char* begin, size_t bytes, int how) const;
  void poison(char* begin, size_t bytes) const;

  static constexpr size_t range_bytes = size_t{1} << 38;
  char* range_ = nullptr;
  size_t used_ = 0;  // of the range
  std::map<char*, Pages> pages_;
  int open_ = 0;
  size_t allocated_ = 0, of_others_ = 0;
  int until_failure_ = 0;
};

}  // namespace folio::emulator

#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "core/backend.h"
#include "core/devices/allocator.h"

namespace folio {

// Pages that nobody can read or write but while somebody holds them open.
class GuardedPages final : public Pages {
 public:
  GuardedPages();

  char* base() const override { return base_; }
  size_t limit() const override { return bytes; }
  std::string grow(size_t end) override;
  void open();
  void close();  // once for each open(); the last one closes

 private:
  static constexpr size_t bytes = size_t{64} << 30, step = size_t{2} << 20;
  void protect(int how);

  char* base_ = nullptr;
  size_t end_ = 0;  // of what may hold something
  int open_ = 0;    // operations that run
  std::mutex mutex_;
};

// The memory of the guarded device. It copies: no host ever writes there by itself.
class GuardedMemory final : public Memory {
 public:
  GuardedPages& pages() { return pages_; }

  std::shared_ptr<Storage> allocate(size_t bytes) override { return allocator_.storage(bytes); }
  MemoryUse use() const override { return allocator_.use(); }
  void forget_peak() override { allocator_.forget_peak(); }
  uint64_t available() const override { return backend(cpu)->memory.available(); }
  void write(const void* host, Array& to) override;
  void write(const std::function<void(void* host)>& produce, Array& to) override;
  void read(const Array& from, void* host) override;

 private:
  GuardedPages& pages_ = *new GuardedPages;
  CachingAllocator allocator_{std::unique_ptr<Pages>(&pages_)};
};

}  // namespace folio

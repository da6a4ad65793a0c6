#pragma once
#include "core/devices/allocator.h"

namespace folio {

// The system's memory. The range is address space, reserved at the start: 16 TB, or where a limit
// is set (ulimit -v) three quarters of what it leaves, for others need some too. Pages cost memory
// once they are touched; grow() asks first whether the system has it.
class SystemPages final : public Pages {
 public:
  SystemPages();
  ~SystemPages() override;
  SystemPages(const SystemPages&) = delete;
  SystemPages& operator=(const SystemPages&) = delete;

  char* base() const override { return base_; }
  size_t limit() const override { return limit_; }
  std::string grow(size_t end) override;
  void handed_out(char* block, size_t bytes, size_t reserved) override;
  void taken_back(char* block, size_t reserved) override;
  size_t gap() const override;

 private:
  char* base_ = nullptr;
  size_t limit_ = 0;
  size_t end_ = 0;      // of what grow() has granted
  size_t checked_ = 0;  // bytes for which the system was seen to have memory
};

}  // namespace folio

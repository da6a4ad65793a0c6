#pragma once
#include <cstddef>
#include <map>

namespace folio::emulator {

// The shared memory of the block that runs. What has not been written is NaN; under
// AddressSanitizer, what lies between the variables is not to be touched.
class SharedMemory {
 public:
  static constexpr size_t without_opt_in = size_t{48} << 10;
  static constexpr size_t most = size_t{163} << 10;  // of compute capability 8.0, the least of ours

  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void begin_block(size_t dynamic_bytes);
  void* dynamic() const { return dynamic_; }
  size_t dynamic_bytes() const { return dynamic_bytes_; }
  // The variable of that key, made when it is first asked for; null if the block would then have
  // more than it may: 48 KB, or, with more than 48 KB of dynamic memory, the most of the device.
  void* variable(const void* key, size_t bytes);

 private:
  void* take(size_t bytes);

  static constexpr size_t gap = 64;
  static constexpr size_t arena_bytes = size_t{256} << 10;
  char* arena_ = nullptr;
  size_t used_ = 0;    // of the arena, with gaps
  size_t static_ = 0;  // bytes of variables
  void* dynamic_ = nullptr;
  size_t dynamic_bytes_ = 0;
  std::map<const void*, void*> variables_;
};

}  // namespace folio::emulator

#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>

#include "core/allocator.h"
#include "core/backend.h"

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
  int open_ = 0;    // calls that run
  std::mutex mutex_;
};

// The memory of the guarded device, and how the CPU's backend computes in it.
class GuardedMemory {
 public:
  explicit GuardedMemory(Device device) : device_(device) {}

  Device device() const { return device_; }
  Backend& cpu() const { return cpu_; }
  CachingAllocator& allocator() { return allocator_; }
  const CachingAllocator& allocator() const { return allocator_; }
  std::shared_ptr<Storage> take(size_t bytes);

  // Calls f with what the CPU sees of `arguments` while the memory is open, and keeps its result on
  // this device. Open pages are closed again whatever f throws.
  template <class F, class... Arguments>
  auto run(F&& f, const Arguments&... arguments) {
    struct Open {
      explicit Open(GuardedPages& pages) : pages(pages) { pages.open(); }
      ~Open() { pages.close(); }
      GuardedPages& pages;
    } open(pages_);
    if constexpr (std::is_void_v<decltype(f(seen_by_cpu(arguments)...))>) {
      f(seen_by_cpu(arguments)...);
    } else {
      return kept(f(seen_by_cpu(arguments)...));
    }
  }
  // call(second), which may leave a second result in *second, kept in `out`; null wants none.
  template <class F>
  Array with_second(Array* out, F&& call) {
    if (!out) return call(nullptr);
    Array second;
    Array first = call(&second);
    *out = kept(second);
    return first;
  }
  // call(sum), which adds to `sum`, or makes it where it has no values yet.
  template <class F>
  void with_sum(Array& sum, F&& call) {
    Array seen = seen_by_cpu(sum);
    call(seen);
    if (!sum.defined()) sum = kept(seen);
  }
  template <class F>
  void with_optional_sum(Array* sum, F&& call) {
    if (!sum) return call(nullptr);
    with_sum(*sum, [&](Array& seen) { call(&seen); });
  }

  // The same memory as an Array of the CPU, for as long as a call lasts. Error for an Array of
  // another device.
  Array seen_by_cpu(const Array& x) const;
  PackedWeight seen_by_cpu(const PackedWeight& w) const;
  KvLayer seen_by_cpu(const KvLayer& cache) const;

 private:
  // A result of the CPU, moved to this device.
  Array kept(const Array& x) const;
  PackedWeight kept(const PackedWeight& w) const { return {kept(w.data), w.n, w.k, w.format}; }
  LayerNormed kept(const LayerNormed& x) const { return {kept(x.y), kept(x.mean), kept(x.rstd)}; }
  Attended kept(const Attended& x) const { return {kept(x.y), kept(x.lse)}; }
  CrossEntropy kept(const CrossEntropy& x) const { return {kept(x.loss), kept(x.dx), kept(x.dw)}; }
  KvLayer kept(const KvLayer& x) const {
    return {kept(x.k), kept(x.v), kept(x.scales), x.capacity};
  }
  static bool kept(bool answer) { return answer; }

  Backend& cpu_ = backend(folio::cpu);
  GuardedPages& pages_ = *new GuardedPages;
  CachingAllocator allocator_{std::unique_ptr<Pages>(&pages_)};
  Device device_;
};

}  // namespace folio

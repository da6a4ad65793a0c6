#include <algorithm>
#include <cstring>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/visit_dtype.h"
#include "core/parallel.h"
#include "core/process/memory_limit.h"

namespace folio {
namespace {

// By tiles that stay in the first cache: a line of x serves 16 columns of it.
template <class From, class To>
void transpose_tiles(const From* x, To* y, int64_t R, int64_t C) {
  constexpr int64_t columns = 64, rows = 16;
  parallel_blocks(C, columns, [&](int64_t begin, int64_t end) {
    for (int64_t top = 0; top < R; top += rows) {
      int64_t bottom = std::min(R, top + rows);
      for (int64_t c = begin; c < end; ++c)
        for (int64_t r = top; r < bottom; ++r) y[c * R + r] = To(x[r * C + c]);
    }
  });
}

}  // namespace

Backend& cpu_backend() {
  static CpuBackend& instance = *new CpuBackend;  // outlives every Array, static ones included
  return instance;
}

std::shared_ptr<Storage> CpuBackend::allocate(size_t bytes) {
  return {new Storage{.data = allocator_.allocate(bytes), .bytes = bytes, .device = cpu},
          [this](Storage* storage) {
            allocator_.free(storage->data);
            delete storage;
          }};
}

MemoryUse CpuBackend::memory() const { return allocator_.use(); }

void CpuBackend::forget_peak_memory() { allocator_.forget_peak(); }

uint64_t CpuBackend::available_memory() const {
  MemoryUse use = memory();
  return std::min(free_memory(), uint64_t(use.limit - use.live));
}

void CpuBackend::write(const void* host, Array& to) {
  to.check_writable("write");
  if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
}

void CpuBackend::write(const std::function<void(void* host)>& produce, Array& to) {
  to.check_writable("write");
  if (to.size() > 0) produce(to.address());
}

void CpuBackend::read(const Array& from, void* host) {
  if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
}

Array CpuBackend::transpose(const Array& x, DType dtype) {
  int64_t R = x.dim(0), C = x.dim(1);
  Array y({C, R}, dtype, cpu);
  visit_dtype(x.dtype(), "transpose", [&](auto from) {
    visit_dtype(dtype, "transpose", [&](auto to) {
      transpose_tiles(x.data<decltype(from)>(), y.data<decltype(to)>(), R, C);
    });
  });
  return y;
}

Array CpuBackend::take_rows(const Array& x, std::span<const int64_t> rows) {
  Array taken({int64_t(rows.size()), x.dim(1)}, x.dtype(), cpu);
  size_t bytes = size_t(x.dim(1)) * size_of(x.dtype());
  auto* to = static_cast<char*>(taken.address());
  for (int64_t row : rows) {
    std::memcpy(to, static_cast<const char*>(x.address()) + size_t(row) * bytes, bytes);
    to += bytes;
  }
  return taken;
}

}  // namespace folio

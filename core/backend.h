#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/array.h"
#include "core/backend/attention.h"
#include "core/backend/broadcast.h"
#include "core/backend/elementwise.h"
#include "core/backend/embeddings.h"
#include "core/backend/kv_cache.h"
#include "core/backend/layout.h"
#include "core/backend/losses.h"
#include "core/backend/machine.h"
#include "core/backend/memory.h"
#include "core/backend/norms.h"
#include "core/backend/optimizer.h"
#include "core/backend/packed.h"
#include "core/backend/products.h"
#include "core/backend/random.h"
#include "core/backend/recorder.h"
#include "core/backend/reductions.h"
#include "core/backend/rotary.h"
#include "core/backend/rows.h"
#include "core/backend/sampling.h"

namespace folio {

// What a device can do, in groups: for each a header in core/backend/, and a file of the same name
// in core/cpu/ that implements it. Everything above this contract is device-neutral. Unless said
// otherwise, `x` and activations are f64, f32 or bf16, the result is a new Array in the dtype of x,
// sums are kept in f32 (f64 for f64), and parameters (weights of norms and embedding, biases)
// may be f32 under a bf16 x. The caller has checked the shapes, and that all Arrays are this
// device's; ids and targets are in range (Array::id_range). An optional Array may be undefined.
// Gradients of parameters are f32 (f64 for f64) and are added to what the caller alone owns; one
// without values is made, from its own shape or the operands'. Whatever writes to an Array that it
// was given says so first (Array::begin_write).
//
// One stream of work: calls take effect in order, and only those that give the host something
// (Memory::read, all_finite, Machine) need to wait. What arguments point at on the host may go as
// soon as the call returns. Memory of an Array that is gone is used again behind the work that is
// queued.
//
// What every device promises:
// - Inference (embedding, norms, elementwise, packed, rotary, kv_cache, sampling): a row of a
// result is the
//   same bits whatever the other rows are, however many there are, and however the tokens before it
//   were split into calls.
// - Training: the same calls give the same bytes, run after run, on one kind of device. A sum may
//   be taken in an order that depends on the shapes, so two devices need not agree in the last
//   bits.
// - Dropout: which elements are dropped is core/random.h's function of the stream and the element's
//   index, the same on every device.
struct Operations {
  Memory& memory;
  ElementwiseOps& elementwise;
  BroadcastOps& broadcast;
  LayoutOps& layout;
  RandomOps& random;
  ReductionOps& reductions;
  RowOps& rows;
  NormOps& norms;
  ProductOps& products;
  EmbeddingOps& embeddings;
  RotaryOps& rotary;
  AttentionOps& attention;
  LossOps& losses;
  OptimizerOps& optimizer;
  PackedOps& packed;
  KvCacheOps& kv_cache;
  SamplingOps& sampling;
  Recorder& recorder;
  Machine& machine;
};

// A device's operations, and what it does around every call of one.
class Backend : public Operations {
 public:
  explicit Backend(const Operations& operations) : Operations(operations) {}
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  virtual void enter() {}  // before a call, on its thread; calls nest
  virtual void leave() {}  // after it, whatever it threw
};

// A call in progress: `backend(x)->products.linear(...)`. Until the end of that expression the
// device's Arrays have addresses on this thread (Array::address).
class BackendCall {
 public:
  BackendCall(Backend& backend, Device device, const Caller& caller)
      : on_(device), device_(device), backend_(backend) {
    if (Profiler* profiler = Profiler::active()) [[unlikely]]
      profiler->begin(device, caller);
    backend_.enter();
  }
  ~BackendCall() {
    backend_.leave();
    if (Profiler* profiler = Profiler::active()) [[unlikely]]
      profiler->end(device_);
  }
  BackendCall(const BackendCall&) = delete;
  BackendCall& operator=(const BackendCall&) = delete;

  const Operations* operator->() const { return &backend_; }

 private:
  RunningOn on_;
  Device device_;
  Backend& backend_;
};

// Adds a device of that name, which `backend` serves. To be called before other threads use any
// device; `backend` must outlive every Array.
Device register_backend(std::string name, Backend& backend);
// Its operations, to be called there and then; Error if this build has no backend for the device.
BackendCall backend(Device device, const Caller& caller = Caller::current());
inline BackendCall backend(const Array& x, const Caller& caller = Caller::current()) {
  return backend(x.device(), caller);
}

// Host values in and out. Integers are looked at on the way in, for no kernel does:
// Array::id_range.
IdRange range_of(std::span<const int32_t> ids);
template <class T>
Array to_array(std::span<const T> values, Shape shape, Device device) {
  check(int64_t(values.size()) == shape.size(), "to_array: {} values for shape {}", values.size(),
        shape);
  Array array(shape, dtype_of<T>, device);
  backend(device)->memory.write(values.data(), array);
  if constexpr (std::is_same_v<T, int32_t>) array.set_id_range(range_of(values));
  return array;
}
template <class T>
Array to_array(const std::vector<T>& values, Shape shape, Device device) {
  return to_array(std::span<const T>(values), shape, device);
}
// Ids of a vocabulary from the host, i32. Error, which begins with `what`, for one that is not in
// [0, vocab_size).
Array token_ids(std::span<const int32_t> ids, Shape shape, int64_t vocab_size, Device device,
                std::string_view what);
// The same into an Array of that shape that is there already.
void write_token_ids(std::span<const int32_t> ids, int64_t vocab_size, Array& to,
                     std::string_view what);
// The same of the targets of a loss, of which -1 is ignored.
Array target_ids(std::span<const int32_t> ids, Shape shape, int64_t vocab_size, Device device,
                 std::string_view what);
template <class T>
std::vector<T> to_vector(const Array& array) {
  check(array.dtype() == dtype_of<T>, "to_vector: this array holds {}, not {}", array.dtype(),
        dtype_of<T>);
  std::vector<T> values(size_t(array.size()));
  backend(array)->memory.read(array, values.data());
  return values;
}
double item(const Array& scalar);  // the one element of a floating-point array
Array full(Shape shape, double value, DType dtype, Device device);
Array zeros(Shape shape, DType dtype, Device device);
// x itself if it is there already, else a copy.
Array to(const Array& x, Device device);

}  // namespace folio

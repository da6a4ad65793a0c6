#pragma once
#include <memory>
#include <optional>

#include "core/device.h"
#include "core/dtype.h"
#include "core/profile.h"
#include "core/shape.h"

namespace folio {

// What is known of the integers in a storage: all are in [least, below).
struct IdRange {
  int64_t least = 0, below = 0;
};

// Memory on one device, from that device's caching allocator; goes back to it when the last Array
// that shares it is gone.
struct Storage {
  void* data;
  size_t bytes;
  Device device;
  bool read_only = false;           // a mapped file: no Backend call writes to it
  std::optional<IdRange> ids = {};  // if whoever wrote them has looked; until the next write
  uint64_t writes = 0;              // that have begun
};

size_t bytes_of(const Shape& shape, DType dtype);  // Error where that overflows

// A dense, row-major block of numbers on a device. Copies share storage, as do views; there are no
// strides, so an Array is always contiguous and `reshape` and `slice` are always free. Only the
// operations of its device see the address; the host reads through `read` in backend/memory.h.
class Array {
 public:
  Array() = default;  // undefined: stands for "no array" where one is optional
  Array(Shape shape, DType dtype, Device device);  // contents are unspecified
  // Over memory that another owner gives, such as a mapped file; aligned to the dtype's size.
  Array(std::shared_ptr<Storage> storage, Shape shape, DType dtype);

  // No storage, yet a shape and a dtype: what an array was. It is not defined.
  static Array shape_only(Shape shape, DType dtype);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }  // negative i counts from the end
  int64_t size() const { return shape_.size(); }
  int64_t rows() const { return shape_.rows(); }  // size / last dimension
  DType dtype() const { return dtype_; }
  Device device() const {  // Error for an undefined one, which is nowhere
    check(storage_ != nullptr, "an array without values is on no device");
    return storage_->device;
  }
  size_t bytes() const { return bytes_of(shape_, dtype_); }

  Array reshape(Shape shape) const;               // a view; same number of elements
  Array slice(int64_t begin, int64_t end) const;  // a view of [begin, end) of dimension 0
  bool shares_storage_with(const Array& other) const { return storage_ == other.storage_; }
  bool sole_owner() const { return storage_.use_count() == 1; }  // no other Array sees the storage
  // The first thing that an operation does which writes here, `op`: Error if the storage is
  // read-only. It ends the state that the storage was in, and what was known of its ids.
  void begin_write(const char* op) const;
  // What an array holds at one moment: while it is in the same state it has the same values.
  struct State {
    std::weak_ptr<const Storage> storage;
    uint64_t writes = 0;
  };
  State state() const { return {storage_, storage_ ? storage_->writes : 0}; }
  bool is_in(const State& state) const {
    return storage_ && state.storage.lock() == storage_ && state.writes == storage_->writes;
  }
  // Of i32 arrays: kernels look up rows by them and check nothing, so an op refuses an array of
  // which this is not known or does not fit (see to_array). Views share it. To be set by whoever
  // has just written the integers and knows them.
  const std::optional<IdRange>& id_range() const;
  void set_id_range(IdRange range) const;

  // Error unless an operation of this Array's device runs on this thread.
  void* address() const {
    if (storage_ == nullptr || RunningOn::device() != storage_->device) refuse_address();
    void* at = static_cast<char*>(storage_->data) + offset_;
    if (Profiler* profiler = Profiler::active()) [[unlikely]]
      profiler->touched(storage_->device, at, bytes());
    return at;
  }
  // The elements as T. Throws Error if the dtype is not T's.
  template <class T>
  T* data() const {
    check(dtype_ == dtype_of<T>, "this array holds {}, not {}", dtype_, dtype_of<T>);
    return static_cast<T*>(address());
  }

 private:
  [[noreturn]] void refuse_address() const;

  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
};

}  // namespace folio

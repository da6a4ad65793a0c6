#include "core/array.h"

#include "core/backend.h"

namespace folio {

size_t bytes_of(const Shape& shape, DType dtype) {
  int64_t bytes = 0;
  check(!__builtin_mul_overflow(shape.size(), int64_t(size_of(dtype)), &bytes),
        "an array {} {} has more bytes than can be counted", dtype, shape);
  return size_t(bytes);
}

Array::Array(Shape shape, DType dtype, Device device)
    : storage_(backend(device)->memory.allocate(bytes_of(shape, dtype))),
      shape_(shape),
      dtype_(dtype) {}

Array::Array(std::shared_ptr<Storage> storage, Shape shape, DType dtype)
    : storage_(std::move(storage)), shape_(shape), dtype_(dtype) {
  check(bytes() <= storage_->bytes, "an array {} {} does not fit the {} bytes of its storage",
        dtype, shape, storage_->bytes);
}

Array Array::shape_only(Shape shape, DType dtype) {
  Array array;
  array.shape_ = shape;
  array.dtype_ = dtype;
  return array;
}

void Array::refuse_address() const {
  check(storage_ != nullptr, "an array without values has no address");
  const std::optional<Device> running = RunningOn::device();
  fail("an array {} {} of {} has an address only for an operation of that device; {}", dtype_,
       shape_, storage_->device,
       running ? fmt::format("an operation of {} asked for it", *running)
               : std::string("the host reads it through backend(x)->memory.read"));
}

void Array::begin_write(const char* op) const {
  check(!storage_->read_only,
        "{}: would write to an array {} {} that lies in a mapped file; copy it first", op, dtype_,
        shape_);
  storage_->ids.reset();
  ++storage_->writes;
}

const std::optional<IdRange>& Array::id_range() const {
  static const std::optional<IdRange> unknown;
  return storage_ ? storage_->ids : unknown;
}

void Array::set_id_range(IdRange range) const {
  check(dtype_ == DType::i32, "ids are int32, not {}", dtype_);
  check(offset_ == 0 && bytes() == storage_->bytes,
        "set_id_range: array {} is a part of its storage, of which more is not known", shape_);
  storage_->ids = range;
}

Array Array::reshape(Shape shape) const {
  check(shape.size() == size(), "reshape: {} cannot become {}: {} elements against {}", shape_,
        shape, size(), shape.size());
  Array view = *this;
  view.shape_ = shape;
  return view;
}

Array Array::slice(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= dim(0), "slice: [{}, {}) of an array of shape {}",
        begin, end, shape_);
  Array view = *this;
  if (dim(0) > 0) view.offset_ += size_t(size() / dim(0) * begin) * size_of(dtype_);
  view.shape_[0] = end - begin;
  return view;
}

}  // namespace folio

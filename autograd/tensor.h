#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace folio {

struct Node;
struct Result;

// Where a tensor is on the tape: the node of the op that made it, and which of the op's results it
// is. A leaf has a node of its own.
struct Place {
  std::shared_ptr<Node> node;  // null if the tensor was not recorded
  size_t result = 0;

  explicit operator bool() const { return node != nullptr; }
  Result* operator->() const;
  bool is_leaf() const;
};

// The gradient of an op's result, as its backward gets it.
struct Gradient : Array {
  bool is_one = false;  // the scalar 1 with which Tensor::backward() starts: nothing to multiply by
};

// An op's backward: from the gradients of its results (undefined for a result that got none) to
// those of its inputs (undefined for an input that needs none).
using Backward = std::function<std::vector<Array>(std::vector<Gradient> dys)>;

// One result of an op: the values and, optionally, how they are made again, see Saved.
struct Made {
  Array y;
  std::function<Array()> recompute = nullptr;
};

// An Array and, when it was recorded, its place on the tape. Copies share both.
class Tensor {
 public:
  Tensor() = default;
  Tensor(Array array) : array_(std::move(array)) {}  // a constant: no gradient flows into it
  // A leaf whose gradient backward() accumulates.
  static Tensor leaf(Array array);

  bool defined() const { return array_.defined(); }
  const Array& array() const { return array_; }
  const Shape& shape() const { return array_.shape(); }
  int64_t dim(int i) const { return array_.dim(i); }
  DType dtype() const { return array_.dtype(); }

  bool requires_grad() const { return bool(place_); }
  // The gradient accumulated in this leaf since zero_grad(); undefined if there is none.
  const Array& grad() const;
  void zero_grad();
  // To be called, from within backward(), each time that all ops which had read this leaf have
  // added to its gradient (PyTorch's register_post_accumulate_grad_hook); it may take the gradient
  // away with zero_grad(). Assigning another leaf to this tensor leaves the hook with the old one.
  void after_gradient(std::function<void()> hook);
  // New values for a leaf, in place of the old: same shape.
  void assign(const Array& values);

  // The values in `dtype`. A leaf keeps the converted copy until its values are next written, so
  // that a weight is rounded once an update, not once a pass. Under NoGrad no new copy is kept.
  Array in(DType dtype) const;
  // That copy; undefined if there is none. An optimiser takes it, writes the new values to both,
  // and gives it back with keep_copy, which trusts that it equals the values at that moment.
  Array kept_copy() const;
  void keep_copy(Array copy);

  // Adds d this / d leaf to the gradient of every leaf from which this, a scalar, was computed.
  // Goes through the recorded ops once, the newest first, and frees what each had saved as soon as
  // its gradient is known.
  void backward() const;
  // The same for a tensor of any shape in the middle of a computation: `dy` is the derivative of
  // its final scalar with respect to this.
  void backward(Array dy) const;

 private:
  friend std::vector<Tensor> record_node(std::vector<Made>, std::vector<Tensor>, Backward,
                                         const Caller&);
  void walk(Gradient dy) const;
  friend class Saved;
  friend class GradientSoFar;
  Array array_;
  Place place_;
};

// One op on the tape: how to turn the gradients of its results into those of its inputs.
struct Node {
  int64_t order = 0;          // position on the tape; 0 for a leaf
  std::vector<Place> inputs;  // null where an input needs no gradient
  Backward backward;
  std::vector<Result> results;

  Node() = default;
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};
struct Result {
  Array grad;                        // summed as it arrives
  std::function<Array()> recompute;  // optional: makes the values again, see Saved
  Array copy;                        // of a leaf, in another dtype, see Tensor::in
  Array::State copied;               // the leaf's, when `copy` was made
  int64_t readers = 0;               // of a leaf: inputs of recorded ops that wait for backward
  std::function<void()> hook;        // of a leaf, see Tensor::after_gradient
};
inline Result* Place::operator->() const { return &node->results[result]; }
inline bool Place::is_leaf() const { return node && node->order == 0; }

// While one is alive, on this thread, ops record nothing: inference and evaluation.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;
  static bool active();
};

// What an op keeps of an input until its backward: the array or, where the op that made it is
// cheaper to run again than its result is to hold (layer_norm), the way to make it again.
class Saved {
 public:
  Saved(const Tensor& tensor);  // NOLINT(google-explicit-constructor)
  Array operator()() const;

 private:
  Array array_;
  Place place_;
};

// The gradient that an input has accumulated so far, for a backward that adds to it in place.
class GradientSoFar {
 public:
  GradientSoFar(const Tensor& input)  // NOLINT(google-explicit-constructor)
      : place_(input.place_), shape_(input.shape()), dtype_(input.dtype()) {}
  // Takes it out of the input, whose gradient again is what the backward returns for it. A shape
  // alone if there is none yet, or if another holder sees it.
  Array take() const;

 private:
  Place place_;
  Shape shape_;
  DType dtype_;
};

// Puts one op on the tape. `record` calls this only where some input needs a gradient; an active
// TapeObserver is told of the op under the name of the function that called.
std::vector<Tensor> record_node(std::vector<Made> results, std::vector<Tensor> inputs,
                                Backward backward, const Caller& caller = Caller::current());
// The same of an op with one result.
Tensor record_node(Array y, std::vector<Tensor> inputs,
                   std::function<std::vector<Array>(Gradient dy)> backward,
                   std::function<Array()> recompute = nullptr,
                   const Caller& caller = Caller::current());

// Whether an op of these inputs belongs on the tape.
bool is_recorded(std::initializer_list<Tensor> inputs);

// Wraps the result of an op. `backward` maps dy to the gradients of `inputs`, in order; under
// NoGrad, or when no input needs a gradient, it is dropped.
template <class F>
Tensor record(Array y, std::initializer_list<Tensor> inputs, F&& backward,
              std::function<Array()> recompute = nullptr,
              const Caller& caller = Caller::current()) {
  if (!is_recorded(inputs)) return y;
  return record_node(std::move(y), inputs, std::forward<F>(backward), std::move(recompute), caller);
}

// The same of an op with several results: `backward` is a Backward.
template <class F>
std::vector<Tensor> record(std::vector<Made> results, std::initializer_list<Tensor> inputs,
                           F&& backward, const Caller& caller = Caller::current()) {
  if (is_recorded(inputs))
    return record_node(std::move(results), inputs, std::forward<F>(backward), caller);
  std::vector<Tensor> constants;
  for (Made& result : results) constants.emplace_back(std::move(result.y));
  return constants;
}

}  // namespace folio

#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace folio {

struct Node;

// The gradient of an op's result, as its backward gets it.
struct Gradient : Array {
  bool is_one = false;  // the scalar 1 with which Tensor::backward() starts: nothing to multiply by
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

  bool requires_grad() const { return node_ != nullptr; }
  // The gradient accumulated in this leaf since zero_grad(); undefined if there is none.
  const Array& grad() const;
  void zero_grad();
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
  friend Tensor record_node(Array, std::vector<Tensor>, std::function<std::vector<Array>(Gradient)>,
                            std::function<Array()>);
  void walk(Gradient dy) const;
  friend class Saved;
  friend class GradientSoFar;
  Array array_;
  std::shared_ptr<Node> node_;
};

// One op on the tape: how to turn the gradient of its result into those of its inputs.
struct Node {
  using Backward = std::function<std::vector<Array>(Gradient dy)>;

  int64_t order = 0;                          // position on the tape
  std::vector<std::shared_ptr<Node>> inputs;  // null where an input needs no gradient
  Backward backward;                          // one Array an input, undefined if not needed
  std::function<Array()> recompute;           // optional: makes the result again, see Saved
  Array grad;                                 // gradient of the result, summed as it arrives
  Array copy;                                 // of a leaf, in another dtype, see Tensor::in
  Array::State copied;                        // the leaf's, when `copy` was made
};

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
  std::shared_ptr<Node> node_;
};

// The gradient that an input has accumulated so far, for a backward that adds to it in place.
class GradientSoFar {
 public:
  GradientSoFar(const Tensor& input)  // NOLINT(google-explicit-constructor)
      : node_(input.node_), shape_(input.shape()), dtype_(input.dtype()) {}
  // Takes it out of the input, whose gradient again is what the backward returns for it. A shape
  // alone if there is none yet, or if another holder sees it.
  Array take() const;

 private:
  std::shared_ptr<Node> node_;
  Shape shape_;
  DType dtype_;
};

Tensor record_node(Array y, std::vector<Tensor> inputs, Node::Backward backward,
                   std::function<Array()> recompute);

// Wraps the result of an op. `backward` maps dy to the gradients of `inputs`, in order; under
// NoGrad, or when no input needs a gradient, it is dropped.
template <class F>
Tensor record(Array y, std::initializer_list<Tensor> inputs, F&& backward,
              std::function<Array()> recompute = nullptr) {
  bool needed = false;
  for (const Tensor& input : inputs) needed |= input.requires_grad();
  if (!needed || NoGrad::active()) return y;
  return record_node(std::move(y), inputs, std::forward<F>(backward), std::move(recompute));
}

}  // namespace folio

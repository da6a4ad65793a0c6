#include "autograd/tensor.h"

#include <algorithm>
#include <queue>
#include <unordered_set>

#include "autograd/tape_observer.h"

namespace folio {
namespace {

thread_local int no_grad_depth = 0;
thread_local int64_t next_order = 0;

struct Newest {
  bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const {
    return a->order < b->order;
  }
};

// The walk frees what each op saved.
constexpr const char* walked_before =
    "backward: a second time through the same graph, or a part that two graphs share; what its ops "
    "had saved is freed: run the forward pass again, or add the losses and call backward() once";

void add_grad(const Place& place, Array grad) {
  Array& sum = place->grad;
  if (!sum.defined()) {
    sum = std::move(grad);
    return;
  }
  // Another holder may see this storage: an op may hand one array to two inputs.
  if (!sum.sole_owner()) sum = backend(sum)->elementwise.cast(sum, sum.dtype());
  backend(sum)->elementwise.accumulate(sum, grad);
}

RecordedOp recorded_op(const Node& node, const std::vector<Made>& results, const Caller& caller) {
  RecordedOp op{.function = caller.function_name(),
                .order = node.order,
                .inputs = {},
                .results = {},
                .dtype = results[0].y.dtype()};
  for (const Place& input : node.inputs) op.inputs.push_back(input ? input.node->order : -1);
  for (const Made& made : results) op.results.push_back(made.y.shape());
  return op;
}

}  // namespace

// Of an op whose backward nobody wanted.
Node::~Node() {
  for (const Place& input : inputs)
    if (input.is_leaf()) --input->readers;
}

NoGrad::NoGrad() { ++no_grad_depth; }
NoGrad::~NoGrad() { --no_grad_depth; }
bool NoGrad::active() { return no_grad_depth > 0; }

Tensor Tensor::leaf(Array array) {
  Tensor tensor(std::move(array));
  tensor.place_.node = std::make_shared<Node>();
  tensor.place_.node->results.resize(1);
  return tensor;
}

const Array& Tensor::grad() const {
  check(requires_grad(), "grad: this tensor of shape {} was not recorded", shape());
  return place_->grad;
}

void Tensor::zero_grad() {
  if (place_) place_->grad = {};
}

void Tensor::after_gradient(std::function<void()> hook) {
  check(place_.is_leaf(), "after_gradient: this tensor of shape {} is no leaf", shape());
  place_->hook = std::move(hook);
}

void Tensor::assign(const Array& values) {
  check(values.shape() == shape(), "assign: a tensor of shape {} cannot take values of shape {}",
        shape(), values.shape());
  if (defined())
    check(values.device() == array_.device(),
          "assign: a tensor on {} cannot take values on {}; copy them there first", array_.device(),
          values.device());
  array_ = backend(values)->elementwise.cast(values, dtype());
}

Array Tensor::in(DType dtype) const {
  if (array_.dtype() == dtype) return array_;
  if (Array kept = kept_copy(); kept.defined() && kept.dtype() == dtype) return kept;
  Array copy = backend(array_)->elementwise.cast(array_, dtype);
  if (place_.is_leaf() && !NoGrad::active()) place_->copy = copy, place_->copied = array_.state();
  return copy;
}

Array Tensor::kept_copy() const {
  bool fresh = place_ && place_->copy.shape() == shape() && array_.is_in(place_->copied);
  return fresh ? place_->copy : Array{};
}

void Tensor::keep_copy(Array copy) {
  check(place_.is_leaf() && copy.shape() == shape(),
        "keep_copy: a copy {} for a tensor of shape {}, which must be a leaf", copy.shape(),
        shape());
  place_->copy = std::move(copy);
  place_->copied = array_.state();
}

void Tensor::backward() const {
  check(requires_grad(), "backward: nothing was recorded for this tensor; is NoGrad active?");
  check(array_.size() == 1, "backward: needs a scalar such as a loss, got shape {}", shape());
  Array one(shape(), dtype(), array_.device());
  backend(one)->elementwise.fill(one, 1);
  walk({one, true});
}

void Tensor::backward(Array dy) const {
  check(requires_grad(), "backward: nothing was recorded for this tensor; is NoGrad active?");
  check(dy.shape() == shape() && dy.dtype() == dtype(),
        "backward: a tensor {} {} needs a gradient like it, got {} {}", dtype(), shape(),
        dy.dtype(), dy.shape());
  walk({std::move(dy), false});
}

void Tensor::walk(Gradient dy) const {
  check(place_.is_leaf() || place_.node->backward, walked_before);
  bool from_one = dy.is_one;
  add_grad(place_, std::move(dy));

  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, Newest> pending;
  std::unordered_set<const Node*> queued;
  if (place_.node->backward) pending.push(place_.node);
  while (!pending.empty()) {
    std::shared_ptr<Node> node = pending.top();
    pending.pop();
    Backward backward = std::move(node->backward);
    node->backward = nullptr;
    check(backward != nullptr, walked_before);
    std::vector<Gradient> dys;
    for (Result& result : node->results) dys.push_back({std::exchange(result.grad, {}), from_one});
    from_one = false;
    std::vector<Array> grads = backward(std::move(dys));
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const Place input = std::exchange(node->inputs[i], {});
      if (!input) continue;
      if (input.is_leaf()) --input->readers;
      if (grads[i].defined()) {
        add_grad(input, std::move(grads[i]));
        if (!input.is_leaf() && queued.insert(input.node.get()).second) pending.push(input.node);
      }
      if (input.is_leaf() && input->readers == 0 && input->hook) input->hook();
    }
    node->inputs.clear();
    for (Result& result : node->results) result.recompute = nullptr;
  }
}

Saved::Saved(const Tensor& tensor) {
  if (tensor.place_ && tensor.place_->recompute) {
    place_ = tensor.place_;
  } else {
    array_ = tensor.array();
  }
}

Array GradientSoFar::take() const {
  if (!place_) return Array::shape_only(shape_, dtype_);
  Array& sum = place_->grad;
  // Kernels add in f32, or f64, alone.
  const bool fits = sum.defined() && sum.dtype() == dtype_ && dtype_ != DType::bf16;
  return fits && sum.sole_owner() ? std::exchange(sum, {}) : Array::shape_only(shape_, dtype_);
}

Array Saved::operator()() const { return place_ ? place_->recompute() : array_; }

std::vector<Tensor> record_node(std::vector<Made> results, std::vector<Tensor> inputs,
                                Backward backward, const Caller& caller) {
  auto node = std::make_shared<Node>();
  node->order = ++next_order;
  node->backward = std::move(backward);
  for (const Tensor& input : inputs) {
    node->inputs.push_back(input.place_);
    if (input.place_.is_leaf()) ++input.place_->readers;
  }
  if (TapeObserver* observer = TapeObserver::active()) [[unlikely]]
    observer->recorded(recorded_op(*node, results, caller));
  std::vector<Tensor> tensors;
  for (Made& made : results) {
    tensors.emplace_back(std::move(made.y));
    tensors.back().place_ = {node, node->results.size()};
    node->results.emplace_back().recompute = std::move(made.recompute);
  }
  return tensors;
}

Tensor record_node(Array y, std::vector<Tensor> inputs,
                   std::function<std::vector<Array>(Gradient)> backward,
                   std::function<Array()> recompute, const Caller& caller) {
  auto of_one = [backward = std::move(backward)](std::vector<Gradient> dys) {
    return backward(std::move(dys[0]));
  };
  return record_node({{std::move(y), std::move(recompute)}}, std::move(inputs), of_one, caller)[0];
}

bool is_recorded(std::initializer_list<Tensor> inputs) {
  return !NoGrad::active() && std::ranges::any_of(inputs, &Tensor::requires_grad);
}

}  // namespace folio

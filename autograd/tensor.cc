#include "autograd/tensor.h"

#include <queue>
#include <unordered_set>

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

void add_grad(Node& node, Array grad) {
  if (!node.grad.defined()) {
    node.grad = std::move(grad);
    return;
  }
  // Another holder may see this storage: an op may hand one array to two inputs.
  if (!node.grad.sole_owner())
    node.grad = backend(node.grad)->elementwise.cast(node.grad, node.grad.dtype());
  backend(node.grad)->elementwise.accumulate(node.grad, grad);
}

}  // namespace

NoGrad::NoGrad() { ++no_grad_depth; }
NoGrad::~NoGrad() { --no_grad_depth; }
bool NoGrad::active() { return no_grad_depth > 0; }

Tensor Tensor::leaf(Array array) {
  Tensor tensor(std::move(array));
  tensor.node_ = std::make_shared<Node>();
  return tensor;
}

const Array& Tensor::grad() const {
  check(node_ != nullptr, "grad: this tensor of shape {} was not recorded", shape());
  return node_->grad;
}

void Tensor::zero_grad() {
  if (node_) node_->grad = {};
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
  const bool is_leaf = node_ && node_->order == 0;
  if (is_leaf && !NoGrad::active()) node_->copy = copy, node_->copied = array_.state();
  return copy;
}

Array Tensor::kept_copy() const {
  bool fresh = node_ && node_->copy.shape() == shape() && array_.is_in(node_->copied);
  return fresh ? node_->copy : Array{};
}

void Tensor::keep_copy(Array copy) {
  check(node_ && node_->order == 0 && copy.shape() == shape(),
        "keep_copy: a copy {} for a tensor of shape {}, which must be a leaf", copy.shape(),
        shape());
  node_->copy = std::move(copy);
  node_->copied = array_.state();
}

void Tensor::backward() const {
  check(node_ != nullptr, "backward: nothing was recorded for this tensor; is NoGrad active?");
  check(array_.size() == 1, "backward: needs a scalar such as a loss, got shape {}", shape());
  Array one(shape(), dtype(), array_.device());
  backend(one)->elementwise.fill(one, 1);
  walk({one, true});
}

void Tensor::backward(Array dy) const {
  check(node_ != nullptr, "backward: nothing was recorded for this tensor; is NoGrad active?");
  check(dy.shape() == shape() && dy.dtype() == dtype(),
        "backward: a tensor {} {} needs a gradient like it, got {} {}", dtype(), shape(),
        dy.dtype(), dy.shape());
  walk({std::move(dy), false});
}

void Tensor::walk(Gradient dy) const {
  bool is_leaf = node_->order == 0;
  check(is_leaf || node_->backward, walked_before);
  bool from_one = dy.is_one;
  add_grad(*node_, std::move(dy));

  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, Newest> pending;
  std::unordered_set<const Node*> queued;
  if (node_->backward) pending.push(node_);
  while (!pending.empty()) {
    std::shared_ptr<Node> node = pending.top();
    pending.pop();
    Node::Backward backward = std::move(node->backward);
    node->backward = nullptr;
    check(backward != nullptr, walked_before);
    std::vector<Array> grads = backward({std::move(node->grad), from_one});
    from_one = false;
    node->grad = {};
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      const std::shared_ptr<Node>& input = node->inputs[i];
      if (!input || !grads[i].defined()) continue;
      add_grad(*input, std::move(grads[i]));
      bool is_leaf = input->order == 0;
      if (!is_leaf && queued.insert(input.get()).second) pending.push(input);
    }
    node->inputs.clear();
    node->recompute = nullptr;
  }
}

Saved::Saved(const Tensor& tensor) {
  if (tensor.node_ && tensor.node_->recompute) {
    node_ = tensor.node_;
  } else {
    array_ = tensor.array();
  }
}

Array GradientSoFar::take() const {
  bool owned = node_ && node_->grad.defined() && node_->grad.sole_owner();
  // Kernels add in f32, or f64, alone.
  if (owned && node_->grad.dtype() == dtype_ && dtype_ != DType::bf16)
    return std::exchange(node_->grad, {});
  return Array::shape_only(shape_, dtype_);
}

Array Saved::operator()() const { return node_ ? node_->recompute() : array_; }

Tensor record_node(Array y, std::vector<Tensor> inputs, Node::Backward backward,
                   std::function<Array()> recompute) {
  Tensor result(std::move(y));
  result.node_ = std::make_shared<Node>();
  result.node_->order = ++next_order;
  result.node_->backward = std::move(backward);
  result.node_->recompute = std::move(recompute);
  for (const Tensor& input : inputs) result.node_->inputs.push_back(input.node_);
  return result;
}

}  // namespace folio

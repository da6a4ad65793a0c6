#pragma once
#include <string_view>

#include "autograd/tensor.h"

namespace folio {

// Whoever looks inside a model as it runs. Names are those of the parameters around the point:
// "transformer.h.3.attn.probabilities". The points: embedding; in each block attn.q, attn.k,
// attn.v, attn.scores, attn.probabilities, attn.output, residual (after attention), mlp.hidden,
// output; ln_f (the final norm); logits. With a cache attention is one op: of it attn.output alone.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // As soon as it is computed.
  virtual void value(const std::string& name, const Array& x) = 0;
  // In backward: d loss / d x, of x's shape. Once for each use of the model, newest first.
  virtual void gradient(const std::string& name, const Array& dx) = 0;
};

// What a forward pass needs beside its input. One per model, shared by its modules.
struct Context {
  Device device;             // of the parameters and of all that is computed
  DType dtype = DType::f32;  // of the matrices and what they multiply
  bool training = false;     // dropout on
  bool recompute = false;    // in training, each block keeps its input alone and runs twice
  bool plain = false;        // layers run as their formulas say, op by op, not fused
  double dropout = 0;
  Generator random;            // draws the dropout masks
  Watcher* watcher = nullptr;  // not owned; a watched model runs as the plain one does

  // Of the residual stream: never narrower than f32, or what each block adds would be rounded away.
  DType residual_dtype() const { return dtype == DType::f64 ? DType::f64 : DType::f32; }
  Dropout next_dropout() {
    return training && dropout > 0 ? Dropout::with(dropout, random.next()) : Dropout{};
  }
  bool is_plain() const { return plain || watcher; }

  // x, shown to the watcher as "transformer.POINT" or, in a block, "transformer.h.LAYER.POINT".
  Tensor watch(std::string_view point, const Tensor& x, int64_t layer = -1) const {
    return watcher ? watched(point, x, layer) : x;
  }

 private:
  Tensor watched(std::string_view point, const Tensor& x, int64_t layer) const;
};

}  // namespace folio

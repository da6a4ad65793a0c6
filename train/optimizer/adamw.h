#pragma once
#include <set>

#include "train/optimizer/optimizer.h"

namespace folio {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95;
};

// Decoupled weight decay (Loshchilov & Hutter, 2019), in nanoGPT's two groups: tensors of two or
// more dimensions decay, biases and norms do not. Its state is "adamw/m/NAME" and "adamw/v/NAME"
// for each.
class AdamW : public Optimizer {
 public:
  AdamW(std::vector<Part> parts, const AdamWOptions& options)
      : AdamW(std::move(parts), options, {}) {}
  AdamW(Module& module, const AdamWOptions& options) : AdamW(whole_parts(module), options) {}

  void step(const Rates& rates, const Array& grad_scale = {},
            const std::vector<Array>& only_if_finite = {}) override;

 protected:
  // But for the parameters `others`, whose updates are whoever derives from it.
  AdamW(std::vector<Part> parts, const AdamWOptions& options, std::set<std::string> others);

 private:
  const AdamWOptions options_;
  const std::set<std::string> others_;
};

}  // namespace folio

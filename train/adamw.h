#pragma once
#include <map>
#include <string>
#include <vector>

#include "nn/gpt.h"

namespace folio {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
};

// Decoupled weight decay (Loshchilov & Hutter, 2019) over a module's parameters, in nanoGPT's two
// groups: tensors of two or more dimensions decay, biases and norms do not.
class AdamW {
 public:
  AdamW(Module& module, const AdamWOptions& options);

  // One update with every gradient multiplied by `grad_scale` (undefined: by 1). It changes nothing
  // but the count of steps unless all of `only_if_finite` (f32) are finite.
  void step(double learning_rate, const Array& grad_scale = {},
            const std::vector<Array>& only_if_finite = {});
  void zero_grad();

  // What a checkpoint must keep. At first shapes alone, which whoever resumes a run replaces by
  // what it saved, without memory for both.
  struct Moments {
    Array m, v;  // f32, shaped like the parameter
  };
  std::map<std::string, Moments> moments;
  // Zeros where nothing has been put: before they are saved; `step` does so by itself.
  void make_moments();
  int64_t steps = 0;

 private:
  Module& module_;
  AdamWOptions options_;
};

}  // namespace folio

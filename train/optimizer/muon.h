#pragma once
#include "train/optimizer/adamw.h"

namespace folio {

// Muon (Jordan et al., 2024) for the matrices between hidden layers (Module::hidden_matrices), each
// of the maps that lie in one by itself; AdamW for all else. Its state is "muon/momentum/NAME" for
// each of those, and AdamW's for the others.
class Muon : public AdamW {
 public:
  // `parts` are of the parameters of `module`; those of its hidden matrices are whole. `products`:
  // MuonStep's.
  Muon(Module& module, std::vector<Part> parts, const AdamWOptions& options,
       DType products = DType::f32);
  Muon(Module& module, const AdamWOptions& options, DType products = DType::f32)
      : Muon(module, whole_parts(module), options, products) {}

  void step(const Rates& rates, const Array& grad_scale = {},
            const std::vector<Array>& only_if_finite = {}) override;

 private:
  std::map<std::string, std::vector<int64_t>> matrices_;  // name -> the rows of each map in it
  const DType products_;
};

}  // namespace folio

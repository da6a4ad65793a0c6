#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/gpt.h"

namespace folio {

// How much an update changes the matrices between hidden layers: |after - before| / |before| of
// each (L2), about 1e-3 where the learning rate fits. Of a large matrix the first rows stand for
// all, so that little is kept and computed.
class UpdateRatio {
 public:
  void before(Gpt& model);  // the update
  bool has_before() const { return !before_.empty(); }
  struct Ratios {
    double median = 0, least = 0, most = 0;
  };
  // After it; none for a model without such matrices, or whose matrices are zeros.
  std::optional<Ratios> after(Gpt& model);

 private:
  std::vector<std::pair<std::string, Array>> before_;
};

}  // namespace folio

#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"

namespace folio {

// An exponential average of a module's parameters over the steps of a run, for evaluation and
// inference; training goes on with the parameters themselves. The module must outlive it.
class Average {
 public:
  Average(Module& module, double decay) : module_(module), decay_(decay) {}

  // After step number `step`, which counts from 1, unless a number in one of `only_if_finite` (f32)
  // is not finite: average += (1 - d) (parameter - average), d = min(decay, (1 + step) / (10 +
  // step)), so that an average over few steps is not one of the weights before them. The first
  // time, a copy.
  void update(int64_t step, const std::vector<Array>& only_if_finite = {});

  // f32, by the name of the parameter; none before the first update.
  std::map<std::string, Array> values;

  // While it lives, the averaged values are the module's parameters; none: no difference.
  class InPlace {
   public:
    explicit InPlace(const Average& average);
    ~InPlace();
    InPlace(const InPlace&) = delete;
    InPlace& operator=(const InPlace&) = delete;

   private:
    std::vector<std::pair<Parameter*, Parameter>> own_;
  };

 private:
  Module& module_;
  const double decay_;
};

}  // namespace folio

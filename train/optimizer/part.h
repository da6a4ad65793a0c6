#pragma once
#include <string>
#include <vector>

#include "nn/module.h"

namespace folio {

// The elements [begin, end) of a parameter, row-major, which this process updates: all of them, but
// where several processes train one model.
struct Part {
  std::string name;
  Parameter* parameter = nullptr;
  int64_t begin = 0, end = 0;
  Array gradient = {};  // of these elements, where it is not the parameter's own

  bool is_whole() const { return end - begin == parameter->shape().size(); }
  // The parameter's shape, or [end - begin].
  Shape shape() const;
  // These elements of an array of the parameter's shape: a view.
  Array of(const Array& whole) const;
  // Undefined where there is none yet.
  Array grad() const { return gradient.defined() ? gradient : of(parameter->grad()); }
};

// Every parameter of `module`, whole.
std::vector<Part> whole_parts(Module& module);

}  // namespace folio

#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/backend.h"
#include "tests/device.h"
#include "tests/reference/values.h"

// What the JSON files beside this describe: inputs, and excerpts of tensors (README.md).
namespace folio::reference {

using nlohmann::json;

inline Shape shape_of(const json& spec) {
  auto dims = spec.at("shape").get<std::vector<int64_t>>();
  return Shape(std::span<const int64_t>(dims));
}

inline Array values_of(const json& spec) {
  Shape shape = shape_of(spec);
  return to_array(
      values<float>(spec.at("seed"), size_t(shape.size()), spec.at("scale"), spec.at("offset")),
      shape);
}

inline Array tokens_of(const json& spec) {
  Shape shape = shape_of(spec);
  return to_array(tokens(spec.at("seed"), size_t(shape.size()), spec.at("vocab")), shape);
}

// Holds `got` to an excerpt of PyTorch's tensor, relative to the size of the tensor's elements.
inline void expect_excerpt(const Array& got, const json& excerpt, const std::string& name) {
  std::vector<float> values = to_vector<float>(got);
  double norm = excerpt.at("norm");
  double tolerance = 1e-4 * norm / std::sqrt(double(values.size()));
  for (size_t i = 0; i < excerpt.at("at").size(); ++i) {
    size_t at = excerpt.at("at")[i];
    EXPECT_NEAR(values.at(at), excerpt.at("values")[i].get<double>(), tolerance) << name << at;
  }
  std::vector<double> weights = reference::values<double>(excerpt.at("probe_seed"), values.size());
  double square = 0, probe = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    square += double(values[i]) * values[i];
    probe += double(values[i]) * weights[i];
  }
  EXPECT_NEAR(std::sqrt(square), norm, 1e-4 * norm) << name;
  EXPECT_NEAR(probe, excerpt.at("probe").get<double>(), 1e-4 * norm) << name;
}

}  // namespace folio::reference

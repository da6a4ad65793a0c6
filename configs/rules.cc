#include "configs/rules.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "configs/option_text.h"
#include "core/device.h"
#include "core/elementwise.h"

namespace folio {

static double as_number(const OptionValue& value) {
  if (auto* integer = std::get_if<int64_t>(&value)) return double(*integer);
  return std::get<double>(value);
}

Rule at_least(double low) {
  return {fmt::format("at least {}", low), [low](auto& value) { return as_number(value) >= low; }};
}

Rule at_least_0_below_1() {
  return {"at least 0 and below 1",
          [](auto& value) { return as_number(value) >= 0 && as_number(value) < 1; }};
}

Rule above_0() {
  return {"above 0", [](auto& value) { return as_number(value) > 0; }};
}

Rule zero_or_one() {
  return {"0 or 1", [](auto& value) { return as_number(value) == 0 || as_number(value) == 1; }};
}

Rule above_0_up_to_1() {
  return {"above 0 and at most 1",
          [](auto& value) { return as_number(value) > 0 && as_number(value) <= 1; }};
}

Rule one_of(std::vector<std::string> names, std::map<std::string, std::string> advice) {
  std::vector<std::string> shown(names.size());
  std::transform(names.begin(), names.end(), shown.begin(), quoted);
  return {fmt::format("{}", fmt::join(shown, " or ")),
          [names](auto& value) {
            return std::count(names.begin(), names.end(), std::get<std::string>(value)) == 1;
          },
          std::move(advice), names};
}

Rule an_activation() {
  std::vector<std::string> names;
  for_each_op<UnaryOps>([&](auto op) {
    if (is_activation(unary<decltype(op)>())) names.emplace_back(op.name);
  });
  names.emplace_back(Activation::swiglu_name);
  return one_of(std::move(names));
}

Rule a_device() {
  std::map<std::string, std::string> advice;
  for (const char* name : {"mps", "gpu", "xpu"})
    advice[name] = "folio computes on the CPU, on all its cores; leave --device out";
  advice["cuda"] =
      "this build of folio has no CUDA; configure one with cmake -DFOLIO_CUDA=ON (CUDA 13), or "
      "leave --device out to compute on the CPU";
  for (int i = 0; i < 16; ++i)
    advice[fmt::format("cuda:{}", i)] =
        "folio's name for a GPU is \"cuda\": the first of CUDA_VISIBLE_DEVICES";
  return one_of(device_names(), std::move(advice));
}

Rule a_dtype(std::vector<std::string> more) {
  more.insert(more.end(), {"float32", "bfloat16"});
  return one_of(std::move(more),
                {{"float16", "bfloat16 is as small, and needs no loss scaling"},
                 {"float64", "float32 is the widest that folio computes models in"}});
}

}  // namespace folio

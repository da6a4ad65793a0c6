#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace folio {

using OptionValue = std::variant<bool, int64_t, double, std::string>;

// What a value must meet beyond its type; `wanted` ends the sentence "must be ...". `advice` says
// more of single texts that are refused: what the user may have meant, and what folio has instead.
// `names` are all texts that it accepts, where that is a list.
struct Rule {
  std::string wanted = {};
  std::function<bool(const OptionValue&)> accepts = {};
  std::map<std::string, std::string> advice = {};
  std::vector<std::string> names = {};
};

Rule at_least(double low);
Rule at_least_0_below_1();
Rule above_0();
Rule zero_or_one();
Rule above_0_up_to_1();
Rule one_of(std::vector<std::string> names, std::map<std::string, std::string> advice = {});

Rule an_activation();

// The devices that folio computes on, and an answer for the others that PyTorch knows.
Rule a_device();
// The dtypes that folio computes in, `more` among them, and an answer for float16 and float64.
Rule a_dtype(std::vector<std::string> more = {});

}  // namespace folio

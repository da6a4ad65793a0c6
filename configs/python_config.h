#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/rules.h"

namespace folio {

// A number as Python writes it: 12, -3, 1e-3, 100_000; an integer where it has neither point nor
// exponent and fits. Empty for anything else.
std::optional<OptionValue> number_from(std::string_view text);

// One line of a config file in Python.
struct Assignment {
  std::string name;
  OptionValue value;
  std::string written;  // the value as the file has it
  std::string where;    // file:line
};

// Reads nanoGPT's config files, executing nothing: lines of `name = value`, where a value is made
// of numbers, text in quotes, True, False, names (those of `known` and of lines before), + - * / //
// ** and parentheses, as Python computes them. Comments and imports are skipped. `wanted` is asked
// of every name that is assigned to: where it says no, what stands behind the = is not looked at
// and the line gives nothing. Throws Error, with the file, the line and its text, for anything
// else.
std::vector<Assignment> read_assignments(
    std::string_view text, const std::string& path, std::map<std::string, OptionValue> known,
    const std::function<bool(const std::string& name, const std::string& where)>& wanted);

}  // namespace folio

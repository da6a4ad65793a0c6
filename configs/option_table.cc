#include "configs/option_table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/check.h"
#include "core/nearest.h"

namespace folio {
namespace {

using Texts = std::vector<std::string>;
constexpr std::string_view wanted_types[] = {"true or false", "an integer", "a number", "text",
                                             "text"};
constexpr std::string_view short_types[] = {"bool", "integer", "number", "text", "texts"};

double as_number(const OptionValue& value) {
  if (auto* integer = std::get_if<int64_t>(&value)) return double(*integer);
  return std::get<double>(value);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '"' || c == '\\')
      out += {'\\', c};
    else
      out += c;
  }
  return out + '"';
}

std::string show(const OptionValue& value) {
  return std::visit(
      [](const auto& typed) {
        if constexpr (std::is_same_v<std::decay_t<decltype(typed)>, std::string>)
          return quoted(typed);
        else
          return fmt::format("{}", typed);
      },
      value);
}

OptionValue value_of(const Option& option) {
  if (auto* texts = std::get_if<Texts*>(&option.value))
    return fmt::format("{}", fmt::join(**texts, ", "));
  return std::visit(
      [](auto* member) -> OptionValue {
        if constexpr (std::is_constructible_v<OptionValue, decltype(*member)>) return *member;
        return {};
      },
      option.value);
}

}  // namespace

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

Rule above_0_up_to_1() {
  return {"above 0 and at most 1",
          [](auto& value) { return as_number(value) > 0 && as_number(value) <= 1; }};
}

Rule one_of(std::vector<std::string> names) {
  std::vector<std::string> shown(names.size());
  std::transform(names.begin(), names.end(), shown.begin(), quoted);
  return {fmt::format("{}", fmt::join(shown, " or ")), [names](auto& value) {
            return std::count(names.begin(), names.end(), std::get<std::string>(value)) == 1;
          }};
}

OptionTable::OptionTable(std::vector<Option> rows) : rows_(std::move(rows)) {}

const Option& OptionTable::find(const std::string& name, const std::string& where) const {
  for (const Option& row : rows_)
    if (row.name == name) return row;
  std::vector<std::string> names;
  for (const Option& row : rows_) names.push_back(row.name);
  std::string known = nearest(name, names);
  fail("{}: unknown key {}; {}", where, quoted(name),
       known.empty() ? "--help lists the known ones" : fmt::format("did you mean \"{}\"?", known));
}

void OptionTable::set(const std::string& name, const OptionValue& value, const std::string& where) {
  const Option& option = find(name, where);
  OptionValue typed = value;
  if (std::holds_alternative<double*>(option.value) && std::holds_alternative<int64_t>(value))
    typed = as_number(value);
  size_t type = option.value.index();
  auto* texts = std::get_if<Texts*>(&option.value);
  check(typed.index() == type || (texts && std::holds_alternative<std::string>(typed)),
        "{}: {}: expected {}, got {}", where, name, wanted_types[type], show(value));
  if (auto* number = std::get_if<double>(&typed))
    check(std::isfinite(*number), "{}: {}: must be finite, got {}", where, name, *number);
  check(!option.rule.accepts || option.rule.accepts(typed), "{}: {}: must be {}, got {}", where,
        name, option.rule.wanted, show(typed));
  if (texts) {
    if (given_[name] != where) (*texts)->clear();
    (*texts)->push_back(std::get<std::string>(typed));
  } else {
    std::visit(
        [&](auto* member) {
          if constexpr (!std::is_same_v<decltype(member), Texts*>)
            *member = std::get<std::decay_t<decltype(*member)>>(typed);
        },
        option.value);
  }
  given_[name] = where;
}

void OptionTable::set_all(const OptionValues& values, const std::string& where) {
  for (const auto& [name, value] : values) set(name, value, where);
}

OptionValues OptionTable::values() const {
  OptionValues values;
  for (const Option& row : rows_) values[row.name] = value_of(row);
  return values;
}

std::string OptionTable::help(std::string_view usage) const {
  size_t name_width = 0, default_width = 0;
  for (const Option& row : rows_) {
    name_width = std::max(name_width, row.name.size());
    default_width = std::max(default_width, show(value_of(row)).size());
  }
  std::string text = fmt::format("usage: {}\n\n", usage);
  for (const Option& row : rows_) {
    text +=
        fmt::format("  --{:{}}  {:7}  {:{}}  {}\n", row.name, name_width,
                    short_types[row.value.index()], show(value_of(row)), default_width, row.help);
  }
  return text;
}

}  // namespace folio

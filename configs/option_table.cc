#include "configs/option_table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "configs/option_text.h"
#include "configs/other_commands.h"
#include "core/check.h"
#include "core/text/nearest.h"

namespace folio {
namespace {

using Texts = std::vector<std::string>;
constexpr std::string_view wanted_types[] = {"true or false", "an integer", "a number",
                                             "text",          "text",       "text"};

// nanoGPT's options for PyTorch and for a service that draws its curves.
bool is_nanogpts_alone(std::string_view name) {
  return name == "compile" || name == "backend" || name.starts_with("wandb_");
}

OptionValue value_of(const Option& option) {
  if (auto* texts = std::get_if<Texts*>(&option.value))
    return fmt::format("{}", fmt::join(**texts, ", "));
  if (auto* op = std::get_if<Activation*>(&option.value)) return std::string((*op)->name());
  return std::visit(
      [](auto* member) -> OptionValue {
        if constexpr (std::is_constructible_v<OptionValue, decltype(*member)>) return *member;
        return {};
      },
      option.value);
}

std::string as_written(const OptionValue& value, std::string_view written) {
  return written.empty() ? shown(value) : std::string(written);
}

[[noreturn]] void refuse_type(const std::string& place, const Option& option,
                              const OptionValue& value, std::string_view written) {
  bool integer = std::holds_alternative<int64_t*>(option.value);
  bool digits = written.find_first_not_of("+-_0123456789") == written.npos;
  if (integer && std::holds_alternative<double>(value) && !written.empty() && digits)
    fail("{}: expected an integer from -9223372036854775808 to 9223372036854775807, got {}", place,
         written);
  fail("{}: expected {}, got {}", place, wanted_types[option.value.index()],
       as_written(value, written));
}

void check_rule(const std::string& place, const Rule& rule, const OptionValue& value,
                const std::string& got) {
  if (!rule.accepts || rule.accepts(value)) return;
  const auto* text = std::get_if<std::string>(&value);
  auto advice = text ? rule.advice.find(*text) : rule.advice.end();
  fail("{}: must be {}, got {}{}", place, rule.wanted, got,
       advice == rule.advice.end() ? "" : fmt::format("; {}", advice->second));
}

}  // namespace

Option path_option(std::string name, std::string* value, std::string help, std::string path_after) {
  return {.name = std::move(name),
          .value = value,
          .help = std::move(help),
          .path_after = std::move(path_after)};
}

std::vector<Option> in_groups(std::vector<std::pair<std::string, std::vector<Option>>> groups) {
  std::vector<Option> all;
  for (auto& [heading, rows] : groups) {
    for (Option& row : rows) {
      row.group = heading;
      all.push_back(std::move(row));
    }
  }
  return all;
}

std::vector<Option> for_use(std::vector<Option> rows, std::span<const std::string> names) {
  for (Option& row : rows)
    row.unused = std::ranges::count(names, row.name) + std::ranges::count(names, row.group) == 0;
  return rows;
}

OptionTable::OptionTable(std::vector<Option> rows) : rows_(std::move(rows)) {}

const Option* OptionTable::find(const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const Option& row : rows_) {
    if (row.name == name) return &row;
    if (!row.unused) names.push_back(row.name);
  }
  if (is_nanogpts_alone(name)) {
    if (std::ranges::count(ignored_, name) == 0) ignored_.push_back(name);
    return nullptr;
  }
  std::string other = command_with_option(name), known = nearest(name, names);
  if (!other.empty())
    fail("{}: unknown key {}; it is an option of `{}`, not of this command", where, quoted(name),
         other);
  fail("{}: unknown key {}; {}", where, quoted(name),
       known.empty() ? "--help lists the known ones" : fmt::format("did you mean \"{}\"?", known));
}

void OptionTable::set(const std::string& name, const OptionValue& value, const std::string& where,
                      std::string_view written) {
  const Option* option = find(name, where);
  if (!option) return;
  std::string place = fmt::format("{}: {}", where, name);
  OptionValue typed = value;
  const auto* integer = std::get_if<int64_t>(&value);
  if (integer && std::holds_alternative<double*>(option->value)) typed = double(*integer);
  auto* texts = std::get_if<Texts*>(&option->value);
  auto* op = std::get_if<Activation*>(&option->value);
  bool right_type = texts || op ? std::holds_alternative<std::string>(typed)
                                : typed.index() == option->value.index();
  if (!right_type) refuse_type(place, *option, value, written);
  if (auto* number = std::get_if<double>(&typed))
    check(std::isfinite(*number), "{}: must be finite, got {}", place, as_written(value, written));
  check_rule(place, option->rule, typed, as_written(value, written));
  if (texts) {
    if (given_[name] != where) (*texts)->clear();
    (*texts)->push_back(std::get<std::string>(typed));
  } else if (op) {
    **op = Activation::named(std::get<std::string>(typed));
  } else {
    std::visit(
        [&](auto* member) {
          using T = std::decay_t<decltype(*member)>;
          if constexpr (std::is_constructible_v<OptionValue, T>) *member = std::get<T>(typed);
        },
        option->value);
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

}  // namespace folio

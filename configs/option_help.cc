// What OptionTable says: its help, and which options are not the defaults.
#include <fmt/ranges.h>

#include <algorithm>

#include "configs/option_table.h"
#include "configs/option_text.h"

namespace folio {
namespace {

using Texts = std::vector<std::string>;

constexpr size_t widest_name = 28;  // --key=default: a longer one has its sentence below it

// In the help, text stands as one would type it where a shell leaves it alone.
std::string typed(const std::string& text) {
  bool plain = std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) || c >= 0x80 ||
           std::string_view("_-./:,+").find(char(c)) != std::string::npos;
  });
  return plain ? text : quoted(text);
}

// --key=default, or --key=TEXT where there is none.
std::string name_and_default(const Option& row) {
  std::string name = "--" + row.name + "=";
  std::string nothing = name + (row.path_after == "" ? "PATH" : "TEXT");
  if (auto* flag = std::get_if<bool*>(&row.value)) return name + shown(**flag);
  if (auto* integer = std::get_if<int64_t*>(&row.value)) return name + shown(**integer);
  if (auto* number = std::get_if<double*>(&row.value)) return name + shown(**number);
  if (auto* text = std::get_if<std::string*>(&row.value))
    return (*text)->empty() ? nothing : name + typed(**text);
  if (auto* op = std::get_if<Activation*>(&row.value)) return name + std::string((*op)->name());
  const Texts& texts = *std::get<Texts*>(row.value);
  std::vector<std::string> each;
  for (const std::string& text : texts) each.push_back(name + typed(text));
  return texts.empty() ? nothing : fmt::format("{}", fmt::join(each, " "));
}

// "configs/x.toml:12" -> "configs/x.toml"
std::string without_line(const std::string& origin) {
  size_t colon = origin.rfind(':');
  bool line = colon != origin.npos && colon + 1 < origin.size() &&
              origin.find_first_not_of("0123456789", colon + 1) == origin.npos;
  return origin.substr(0, line ? colon : origin.size());
}

}  // namespace

std::string OptionTable::help(std::string_view usage, int terminal) const {
  auto width = size_t(std::clamp(terminal, 40, 100));
  size_t column = 0;
  for (const Option& row : rows_) {
    size_t size = name_and_default(row).size();
    if (!row.unused && size <= std::min(widest_name, width * 3 / 8))
      column = std::max(column, size);
  }
  column += 4;  // two spaces on either side
  std::string text = fmt::format("usage: {}\n\noptions, each with its default:\n", usage), group;
  for (const Option& row : rows_) {
    if (row.unused) continue;
    if (row.group != group) text += fmt::format("\n{}\n", row.group);
    group = row.group;
    std::string name = name_and_default(row);
    bool fits = name.size() + 4 <= column;
    text += fmt::format("  {:{}}", name, fits ? column - 2 : 0);
    if (!fits) text += fmt::format("\n{:{}}", "", column);
    text += wrapped(row.help, width, column, column) + '\n';
  }
  return text;
}

std::vector<OptionHelp> OptionTable::each_help() const {
  std::vector<OptionHelp> all;
  for (const Option& row : rows_) {
    if (row.unused) continue;
    OptionHelp& one = all.emplace_back(OptionHelp{.name = row.name,
                                                  .written = name_and_default(row),
                                                  .help = row.help,
                                                  .group = row.group,
                                                  .values = row.rule.names,
                                                  .path_after = row.path_after});
    one.flag = std::holds_alternative<bool*>(row.value);
    if (one.flag) one.values = {"true", "false"};
    std::erase(one.values, "");
  }
  return all;
}

std::string differing_options(const OptionValues& now, const OptionValues& defaults,
                              const OptionOrigins& given, int width) {
  std::map<std::string, Texts> by_place;
  for (const auto& [name, value] : now) {
    auto usual = defaults.find(name);
    if (usual != defaults.end() && usual->second == value) continue;
    auto origin = given.find(name);
    by_place[origin == given.end() ? "" : without_line(origin->second)].push_back(
        fmt::format("{} = {}", name, shown(value)));
  }
  std::string text;
  auto add = [&](const std::string& place, const Texts& options) {
    std::string of = place.empty()             ? ""
                     : place == "command line" ? " of the command line"
                                               : " of " + place;
    text += wrapped(fmt::format("options{}: {}", of, fmt::join(options, ", ")),
                    size_t(std::max(width, 40)), 4) +
            '\n';
  };
  for (const auto& [place, options] : by_place)
    if (place != "command line") add(place, options);
  auto typed_now = by_place.find("command line");
  if (typed_now != by_place.end()) add("command line", typed_now->second);
  return text;
}

}  // namespace folio

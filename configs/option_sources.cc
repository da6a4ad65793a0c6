// Where OptionTable takes values from: a TOML file and a command line.
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>

#include "configs/option_table.h"
#include "core/check.h"

namespace folio {
namespace {

const std::string command_line = "command line";

// The text as a value of the option's type; as a string when it is not one, which `set` refuses.
OptionValue value_from_text(const Option& option, const std::string& text) {
  const char* end = text.data() + text.size();
  auto whole = [&](std::from_chars_result result) {
    return result.ec == std::errc() && result.ptr == end;
  };
  if (std::holds_alternative<bool*>(option.value)) {
    if (text == "true" || text == "True" || text == "on") return true;
    if (text == "false" || text == "False" || text == "off") return false;
  } else if (std::holds_alternative<int64_t*>(option.value)) {
    int64_t integer = 0;
    if (whole(std::from_chars(text.data(), end, integer))) return integer;
  } else if (std::holds_alternative<double*>(option.value)) {
    double number = 0;
    if (whole(std::from_chars(text.data(), end, number))) return number;
  }
  return text;
}

std::string shown_node(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& typed) { out << typed; });
  return out.str();
}

OptionValue value_from_node(const toml::node& node, std::string_view place) {
  if (auto boolean = node.as_boolean()) return boolean->get();
  if (auto integer = node.as_integer()) return integer->get();
  if (auto number = node.as_floating_point()) return number->get();
  if (auto text = node.as_string()) return text->get();
  fail("{}: expected true or false, a number or text, got {}", place, shown_node(node));
}

}  // namespace

void OptionTable::read_toml(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  file.peek();  // a folder opens, but cannot be read
  check(file.is_open() && !file.bad(), "{}: the config file cannot be read", path);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  // Every dot in a key is one more level, on which toml++ 3.3 calls itself.
  check(
      std::ranges::count(content, '.') <= 5000,
      "{}: has more than 5000 dots, so it is no config file; a long text belongs in a file of its "
      "own",
      path);
  toml::table table;
  try {
    table = toml::parse(content, path);
  } catch (const toml::parse_error& error) {
    fail("{}:{}: not valid TOML: {}", path, error.source().begin.line, error.description());
  }
  for (const auto& [key, node] : table) {
    std::string name(key), where = fmt::format("{}:{}", path, key.source().begin.line);
    bool takes_list = std::holds_alternative<std::vector<std::string>*>(find(name, where).value);
    auto set_one = [&](const toml::node& value) {
      set(name, value_from_node(value, fmt::format("{}: {}", where, name)), where);
    };
    const toml::array* list = takes_list ? node.as_array() : nullptr;
    if (!list) set_one(node);
    for (size_t i = 0; list && i < list->size(); ++i) set_one((*list)[i]);
  }
}

// By hand because CLI11 takes the argument after `--start=` as its value, and knows neither the
// nearest name of a wrong one nor the rules and messages that the TOML file shares.
void OptionTable::parse(std::string_view usage, std::span<const std::string> args) {
  std::optional<std::string> config;
  std::vector<std::pair<std::string, OptionValue>> overrides;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--help" || arg == "-h") throw HelpRequested{help(usage)};
    if (!arg.starts_with('-')) {
      check(!config, "{}: one config file at most, got \"{}\" and \"{}\"", command_line,
            config.value_or(""), arg);
      config = arg;
      continue;
    }
    size_t dashes = arg.starts_with("--") ? 2 : 0;
    size_t equals = std::min(arg.find('='), arg.size());
    std::string name = arg.substr(dashes, equals - dashes);
    const Option& option = find(name, command_line);
    bool more = i + 1 < args.size();
    if (equals < arg.size()) {
      overrides.emplace_back(name, value_from_text(option, arg.substr(equals + 1)));
    } else if (std::holds_alternative<bool*>(option.value) || option.bare) {
      OptionValue bare = option.bare.value_or(true);
      OptionValue next = more ? value_from_text(option, args[i + 1]) : OptionValue("");
      bool follows = next.index() == option.value.index();  // else the option stands alone
      overrides.emplace_back(name, follows ? next : bare);
      i += follows;
    } else {
      check(more && !args[i + 1].starts_with("--"), "{}: {} needs a value: --{}=VALUE",
            command_line, name, name);
      overrides.emplace_back(name, value_from_text(option, args[++i]));
    }
  }
  if (config) read_toml(*config);
  for (const auto& [name, value] : overrides) set(name, value, command_line);
}

}  // namespace folio

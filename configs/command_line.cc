// How OptionTable reads a command's arguments. By hand: command-line libraries take the argument
// after `--start=` as its value, and know neither the nearest name of a wrong one nor the rules and
// messages that config files share.
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "configs/option_table.h"
#include "configs/python_config.h"
#include "core/process/output.h"

namespace folio {
namespace {

const std::string command_line = "command line";

bool is_true_or_false(std::string_view text) {
  return text == "true" || text == "True" || text == "false" || text == "False";
}

// The text as a value of the option's type; as what else it may be where it is not one, which `set`
// refuses.
OptionValue value_from_text(const Option& option, const std::string& text) {
  bool is_text = option.value.index() > 2, flag = std::holds_alternative<bool*>(option.value);
  if (is_text) return text;
  if (is_true_or_false(text)) return text == "true" || text == "True";
  if (flag && (text == "on" || text == "off")) return text == "on";
  return number_from(text).value_or(text);
}

Assignment from_text(const Option& option, const std::string& text) {
  OptionValue value = value_from_text(option, text);
  bool is_text = std::holds_alternative<std::string>(value);
  return {option.name, value, is_text ? "" : text, command_line};
}

// Of an option that may stand without a value: whether `next` is its value or something else.
bool is_value_of(const Option& option, const OptionValue& bare, const std::string& next) {
  return value_from_text(option, next).index() == bare.index();
}

// The value of `--name` (or, with `equals`, `--name=text`), and whether `next` was it. `next` is
// null where no value follows.
std::pair<Assignment, bool> read_value(const Option& option, const std::string* text,
                                       const std::string* next) {
  if (text) return {from_text(option, *text), false};
  std::optional<OptionValue> bare = option.bare;
  if (std::holds_alternative<bool*>(option.value)) bare = true;
  if (bare && !(next && is_value_of(option, *bare, *next)))
    return {{option.name, *bare, "", command_line}, false};
  check(next, "{}: {} needs a value: --{}=VALUE", command_line, option.name, option.name);
  return {from_text(option, *next), true};
}

}  // namespace

void OptionTable::parse(std::string_view usage, std::span<const std::string> args,
                        const std::string& positional) {
  std::vector<Assignment> all;
  const std::string* bare_word = nullptr;  // the config file, or the value of `positional`
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--help" || arg == "-h")
      throw HelpRequested{help(usage, terminal_width(STDOUT_FILENO)), std::string(usage),
                          each_help()};
    if (!arg.starts_with('-')) {
      check(!bare_word, "{}: one {} at most, got \"{}\" and \"{}\"", command_line,
            positional.empty() ? "config file" : positional, bare_word ? *bare_word : "", arg);
      bare_word = &arg;
      continue;
    }
    check(arg.starts_with("--"), "{}: {}: options begin with two dashes: -{}", command_line, arg,
          arg);
    size_t equals = std::min(arg.find('='), arg.size());
    std::string name = arg.substr(2, equals - 2), text = arg.substr(equals);
    bool has_value = !text.empty(), more = i + 1 < args.size() && !args[i + 1].starts_with("--");
    if (has_value) text.erase(0, 1);
    if (const Option* option = find(name, command_line)) {
      check(!option->unused, "{}: {}: this command has no use for it; --help lists what it takes",
            command_line, name);
      auto [one, took_next] =
          read_value(*option, has_value ? &text : nullptr, more ? &args[i + 1] : nullptr);
      all.push_back(one);
      i += took_next;
    } else {  // ignored, with the value that it may have
      i += !has_value && more && is_true_or_false(args[i + 1]);
    }
  }
  if (bare_word && positional.empty()) read_config(*bare_word);
  if (bare_word && !positional.empty()) set_by_user(positional, *bare_word, command_line, "");
  for (const Assignment& one : all) set_by_user(one.name, one.value, one.where, one.written);
  if (!ignored_.empty())
    note("folio: {}: nanoGPT's options that folio does not need; ignored\n",
         fmt::join(ignored_, ", "));
}

}  // namespace folio

#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "configs/option_help.h"
#include "configs/rules.h"
#include "core/elementwise.h"

namespace folio {

using OptionValues = std::map<std::string, OptionValue>;   // by option name
using OptionOrigins = std::map<std::string, std::string>;  // name -> "x.toml:12", "command line"

// One option: its name on the command line and in files, where its value lives (whatever stands
// there is its default), a line of help, and what its value must meet. A list of texts is given by
// repeating the option, or as a TOML array; setting it elsewhere replaces it. An activation is
// given as the text of its name.
struct Option {
  std::string name;
  std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*, Activation*>
      value;
  std::string help;
  Rule rule = {};
  std::optional<OptionValue> bare = {};        // its value where it is written without one
  std::optional<std::string> path_after = {};  // what follows this text in the value is a path
  std::string group = {};                      // its heading in the help
  bool unused = false;                         // see for_use
};

// An option whose value is a path: a leading ~/ stands for the home folder.
Option path_option(std::string name, std::string* value, std::string help,
                   std::string path_after = "");

// The rows of all groups, in that order, each with its group's heading.
std::vector<Option> in_groups(std::vector<std::pair<std::string, std::vector<Option>>> groups);

// For a command that reads another's config files: the rows that it has no use for (those of other
// groups and names) stay readable in files, are not listed, and are an Error on the command line.
std::vector<Option> for_use(std::vector<Option> rows, std::span<const std::string> names);

// Fills the options that its rows point to. Everything that sets a value throws Error for a key
// that no row has (naming the nearest one, or the command that has it), for a value of another type
// and for one that breaks the row's rule; the message starts with the place the value came from and
// has the value as it was written. An integer serves where a number is wanted; a number must be
// finite. nanoGPT's options that folio does not need are known, and change nothing.
class OptionTable {
 public:
  explicit OptionTable(std::vector<Option> rows);

  // A command's arguments, in any order: --key=value, --key value, --flag for a bool, and at most
  // one without dashes: the value of the option `positional`, or a config file, which the others
  // override. Of an option given twice the later value holds. --help or -h throws HelpRequested;
  // `usage` says how to call the command, and below that line may say more. What was ignored is
  // said on standard error.
  void parse(std::string_view usage, std::span<const std::string> args,
             const std::string& positional = "");
  // TOML, or nanoGPT's assignments in a .py file. A relative path that leads nowhere may name a
  // file that was installed with folio: configs/train_shakespeare_char.toml.
  void read_config(const std::string& path);
  void set(const std::string& name, const OptionValue& value, const std::string& where,
           std::string_view written = "");
  void set_all(const OptionValues& values, const std::string& where);

  OptionValues values() const;
  const OptionOrigins& given() const { return given_; }  // what was set, and where, so far
  // With the values of now as defaults, in lines of `width` columns.
  std::string help(std::string_view usage, int width) const;
  std::vector<OptionHelp> each_help() const;  // likewise, without the rows that are not for use

 private:
  const Option* find(const std::string& name, const std::string& where);  // null: to be ignored
  void set_by_user(const std::string& name, OptionValue value, const std::string& where,
                   std::string_view written);
  void read_toml(const std::string& path, const std::string& content);
  void read_python(const std::string& path, const std::string& content);

  std::vector<Option> rows_;
  OptionOrigins given_;
  std::vector<std::string> ignored_;
};

// Which of `now` differ from `defaults`, a line for each place that they were given in:
// "options of x.toml: batch_size = 12, n_layer = 4". Wrapped to `width` columns; empty if none do.
std::string differing_options(const OptionValues& now, const OptionValues& defaults,
                              const OptionOrigins& given, int width = 80);

}  // namespace folio

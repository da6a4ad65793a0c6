#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace folio {

using OptionValue = std::variant<bool, int64_t, double, std::string>;
using OptionValues = std::map<std::string, OptionValue>;   // by option name
using OptionOrigins = std::map<std::string, std::string>;  // name -> "x.toml:12", "command line"

// What a value must meet beyond its type; `wanted` ends the sentence "must be ...".
struct Rule {
  std::string wanted;
  std::function<bool(const OptionValue&)> accepts;
};
Rule at_least(double low);
Rule at_least_0_below_1();
Rule above_0();
Rule above_0_up_to_1();
Rule one_of(std::vector<std::string> names);

// One option: its name on the command line and in files, where its value lives (whatever stands
// there is its default), one line of help, and what its value must meet. A list of texts is given
// by repeating the option, or as a TOML array; setting it elsewhere replaces it.
struct Option {
  std::string name;
  std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*> value;
  std::string help;
  Rule rule = {};
  std::optional<OptionValue> bare = {};  // the value of --name, written without one
};

// Thrown when the arguments ask for help; not an error. `text` ends with a newline.
struct HelpRequested {
  std::string text;
};

// Fills the options that its rows point to. Everything that sets a value throws Error for a key
// that no row has (naming the nearest one), for a value of another type and for one that breaks
// the row's rule; the message starts with the place the value came from. An integer serves where a
// number is wanted; a number must be finite.
class OptionTable {
 public:
  explicit OptionTable(std::vector<Option> rows);

  // A command's arguments, in any order: --key=value, --key value, --flag for a bool or an option
  // that has a bare value, and at most one TOML file, which the others override. --help or -h
  // throws HelpRequested.
  void parse(std::string_view usage, std::span<const std::string> args);
  void read_toml(const std::string& path);
  void set(const std::string& name, const OptionValue& value, const std::string& where);
  void set_all(const OptionValues& values, const std::string& where);

  OptionValues values() const;
  const OptionOrigins& given() const { return given_; }  // what was set, and where, so far
  std::string help(std::string_view usage) const;        // with the values of now as defaults

 private:
  const Option& find(const std::string& name, const std::string& where) const;

  std::vector<Option> rows_;
  OptionOrigins given_;
};

}  // namespace folio

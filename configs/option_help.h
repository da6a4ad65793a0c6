#pragma once
#include <optional>
#include <string>
#include <vector>

namespace folio {

// An option as the manual and a shell's completion tell it.
struct OptionHelp {
  std::string name;
  std::string written;  // "--key=default", or "--key=TEXT" and "--key=PATH" where there is none
  std::string help, group;
  std::vector<std::string> values;        // all that it may be, if those are few; else empty
  std::optional<std::string> path_after;  // what follows this text in its value is a path
  bool flag = false;                      // true where it stands without a value
};

// Thrown when the arguments ask for help; not an error. `text`, for the user, ends with a newline;
// of a command's options it also has what the text was made from.
struct HelpRequested {
  std::string text;
  std::string usage = {};
  std::vector<OptionHelp> options = {};
};

}  // namespace folio

#pragma once
#include <string>

namespace folio {

// "folio train" or "folio sample": the command that has an option of that name, for a message to
// somebody who gave it to another. Empty if neither has.
std::string command_with_option(const std::string& name);

}  // namespace folio

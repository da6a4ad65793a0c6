#pragma once
#include <string>

namespace folio {

std::string version();  // "0.1.0": of the project, as CMakeLists.txt says

// What `folio --version` prints: "folio 0.1.0", and a line about this build.
std::string version_text();

}  // namespace folio
